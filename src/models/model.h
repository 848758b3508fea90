// One model: its plan, and what its outputs mean.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "models/heads.h"
#include "models/plan.h"

namespace mlxe {

enum class ProblemType { single_label, multi_label, regression };
// Whether the classes exclude one another: their probabilities are a softmax, else each is a sigmoid.
inline bool is_softmax(ProblemType problem, size_t outputs) noexcept {
  return problem == ProblemType::single_label && outputs > 1;
}

struct Model {
  std::string model_type;                 // as config.json spells it
  Plan plan;                              // the encoder and the heads its folder has
  std::vector<std::string> labels;        // by index; empty without a classifier
  std::vector<std::string> token_labels;  // the same of a token classifier
  ProblemType problem_type = ProblemType::single_label;
  std::optional<MaskedLanguageModel> masked_head;  // whose output is chosen_logits

  int64_t layers() const { return plan.layers(); }
  int64_t hidden_size() const { return plan.hidden_size; }
  int64_t vocab_size() const { return plan.vocab_size; }
  int64_t token_types() const { return plan.token_types; }
  int64_t max_tokens() const { return plan.max_tokens; }
  bool has(Output output) const { return plan.has(output); }

  // Every tensor of model.safetensors this model reads, each once: the encoder's, then those of its heads.
  std::span<const Parameter> parameters() const { return plan.checkpoint_parameters(); }
};

}  // namespace mlxe
