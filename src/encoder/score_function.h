// What makes scores of a classifier's logits.
#pragma once

#include <span>
#include <vector>

#include "format/config.h"
#include "format/sentence_modules.h"
#include "models/model.h"

namespace mlxe {

enum class ScoreFunction { softmax, sigmoid, identity, tanh, relu };
const char* name(ScoreFunction function) noexcept;  // "softmax", ...

// A CrossEncoder's own, where the folder has one: config_sentence_transformers.json's "activation_fn"
// (since 5.4), config.json's "sentence_transformers": {"activation_fn"} (4.0) or
// "sbert_ce_default_activation_function" (before). Else as transformers' text-classification pipeline:
// softmax; sigmoid for multi-label and single-output heads; nothing for regression. A class that is not
// torch's is said and not used, as in sentence-transformers; one of torch's that this version can't compute
// throws unsupported.
ScoreFunction score_function(const Model& model, const Config& config, const SentenceModules& sentence,
                             const Warning& warn);

std::vector<float> scores_of(std::span<const float> logits, ScoreFunction function);

std::vector<float> softmax(std::span<const float> logits);

}  // namespace mlxe
