// What Swift's MLXEmbedders reads from config.json otherwise than mlx-encoder, with defaults of its own.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "format/checkpoint.h"
#include "models/model.h"

namespace mlxe {

// Keys that it asks for and config.json lacks, and sizes for which it takes other values than the tensors have, one
// sentence each. `model_type`: that of config.json.
std::vector<std::string> swift_size_problems(std::string_view model_type, const Model& model,
                                             const Checkpoint& checkpoint);

// What its layers compute otherwise: attention, windows, positions, epsilons.
std::vector<std::string> swift_layer_differences(std::string_view model_type, const Model& model,
                                                 const Checkpoint& checkpoint);

}  // namespace mlxe
