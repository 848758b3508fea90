// Runs the texts of a golden.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "encoder/text_runner.h"
#include "verify/golden.h"

namespace mlxe {

// What the golden of a model is of: the logits that it is for, else the vectors that it is for.
GoldenOutput golden_output(const Model& model);
// How many values a text has. Empty if the model gives no such output. `sentence`: the folder's own "truncate_dim" counts.
std::optional<int64_t> golden_width(const Model& model, const SentenceModules& sentence, GoldenOutput output);

// What the model gives for the text. Errors: those of TextRunner::run; usage (a prompt or output that the model does
// not have).
std::vector<float> golden_values(const TextRunner& runner, GoldenOutput output, const GoldenText& text);

// "mlx-encoder 0.1.0, cpu engine (avx512), float32 activations". The number of threads has no effect, and is left out.
std::string golden_maker(const EngineInfo& engine);

}  // namespace mlxe
