// One model: an encoder and the heads its folder has.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "models/bert.h"
#include "models/distilbert.h"
#include "models/heads.h"
#include "models/roberta.h"

namespace mlxe {

enum class ProblemType { single_label, multi_label, regression };

struct Model {
  std::string model_type;  // as config.json spells it
  std::variant<Bert, Roberta, DistilBert> encoder;
  std::optional<Pooler> pooler;
  std::optional<SequenceClassifier> classifier;
  std::optional<TokenClassifier> token_classifier;
  SentencePipeline sentence;
  std::vector<std::string> labels;        // by index; empty without a classifier
  std::vector<std::string> token_labels;  // the same of a token classifier
  ProblemType problem_type = ProblemType::single_label;

  template <class F>
  decltype(auto) with_encoder(F&& f) const {
    return std::visit(std::forward<F>(f), encoder);
  }
  int64_t layers() const {
    return with_encoder([](const auto& m) { return m.layers(); });
  }
  int64_t hidden_size() const {
    return with_encoder([](const auto& m) { return m.hidden_size(); });
  }
  int64_t vocab_size() const {
    return with_encoder([](const auto& m) { return m.vocab_size(); });
  }
  int64_t token_types() const {
    return with_encoder([](const auto& m) { return m.token_types(); });
  }
  int64_t max_tokens() const {
    return with_encoder([](const auto& m) { return m.max_tokens(); });
  }

  // Every tensor of model.safetensors this model reads, each once.
  void visit(ParameterVisitor& v) {
    std::visit([&](auto& m) { m.visit(v); }, encoder);
    if (pooler) pooler->visit(v);
    if (classifier) classifier->visit(v);
    if (token_classifier) token_classifier->visit(v);
  }
};

}  // namespace mlxe
