// One model: an encoder and the heads its folder has.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "models/heads.h"
#include "models/outputs.h"
#include "models/plan.h"

namespace mlxe {

enum class ProblemType { single_label, multi_label, regression };

struct Model {
  std::string model_type;  // as config.json spells it
  Plan encoder;
  std::optional<Pooler> pooler;
  std::optional<SequenceClassifier> classifier;
  std::optional<TokenClassifier> token_classifier;
  SentencePipeline sentence;
  std::vector<std::string> labels;        // by index; empty without a classifier
  std::vector<std::string> token_labels;  // the same of a token classifier
  ProblemType problem_type = ProblemType::single_label;

  int64_t layers() const { return encoder.layers(); }
  int64_t hidden_size() const { return encoder.hidden_size; }
  int64_t vocab_size() const { return encoder.vocab_size; }
  int64_t token_types() const { return encoder.token_types; }
  int64_t max_tokens() const { return encoder.max_tokens; }

  bool has(Output output) const {
    switch (output) {
      case Output::layers:
      case Output::hidden:
        return true;
      case Output::pooled:
        return pooler.has_value();
      case Output::sentence:
        return !sentence.modules.empty();
      case Output::text_logits:
        return classifier.has_value();
      case Output::token_logits:
        return token_classifier.has_value();
    }
    return false;
  }

  // Every tensor of model.safetensors this model reads, each once: the encoder's, then those of its heads.
  const std::vector<Parameter>& parameters() const { return encoder.parameters; }
};

}  // namespace mlxe
