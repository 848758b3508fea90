// One model: its plan, and what its outputs mean.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "format/answer_tokens.h"
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
  ProblemType problem_type =
      ProblemType::single_label;        // regression: also of heads whose logits are of no classes
  bool is_language_model = false;       // of a family of language models: its files may hold a chat template
  std::optional<AnswerTokens> answers;  // of a language model whose answers are its classifier
  std::optional<MaskedLanguageModel> masked_head;  // whose output is chosen_logits

  int64_t layers() const { return plan.layers(); }
  int64_t hidden_size() const { return plan.hidden_size; }
  int64_t vocab_size() const { return plan.vocab_size; }
  int64_t token_types() const { return plan.token_types; }
  int64_t max_tokens() const { return plan.max_tokens; }
  bool has(Output output) const { return plan.has(output); }
  // The logits that the model is for, rather than for vectors: those of its classifier, or of the head of its task.
  std::optional<Output> task_logits() const {
    for (const Output o :
         {Output::text_logits, Output::token_logits, Output::span_logits, Output::choice_logits})
      if (has(o)) return o;
    return std::nullopt;
  }
  bool reads_pairs() const { return mlxe::reads_pairs(task_logits().value_or(Output::sentence)); }

  // Every tensor of the weight files this model reads, each once: the encoder's, then those of its heads.
  std::span<const Parameter> parameters() const { return plan.checkpoint_parameters(); }
};

}  // namespace mlxe
