// The function from a classifier's logits to its scores.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "format/config.h"
#include "format/sentence_modules.h"
#include "models/model.h"

namespace mlxe {

enum class ScoreFunction { softmax, sigmoid, identity, tanh, relu };
const char* name(ScoreFunction function) noexcept;  // "softmax", ...

// Finds the score function of a folder:
//   1. a CrossEncoder's own: "activation_fn" of config_sentence_transformers.json (since 5.4),
//      "activation_fn" of "sentence_transformers" in config.json (4.0), or
//      "sbert_ce_default_activation_function" in config.json (before);
//   2. else as in transformers' text-classification pipeline: softmax; sigmoid for multi-label and
//      single-output heads; identity for regression.
// A class that is not torch's is ignored with a warning, as in sentence-transformers. Errors: unsupported
// (a class of torch that this version can't compute).
ScoreFunction score_function(const Model& model, const Config& config, const SentenceModules& sentence,
                             const Warning& warn);

// The file and key of a CrossEncoder's own function. None: it follows from the head.
std::optional<std::string> score_function_origin(const Config& config, const SentenceModules& sentence);

// The function of CrossEncoder for one label: `scores`, the result of score_function(), if the folder has a
// setting, else a sigmoid, whatever its problem type.
ScoreFunction relevance_function(ScoreFunction scores, const Config& config, const SentenceModules& sentence);

std::vector<float> scores_of(std::span<const float> logits, ScoreFunction function);

std::vector<float> softmax(std::span<const float> logits);

}  // namespace mlxe
