// What keeps loaders that read files through MLX from the weights of a folder, whatever the model is.
#pragma once

#include <string>
#include <vector>

#include "format/checkpoint.h"

namespace mlxe {

inline constexpr size_t kListedTensors = 3;  // in one sentence

// Names F64 tensors, which MLX does not read from safetensors. Empty if there are none.
std::string f64_tensors(const Checkpoint& checkpoint);

// Names tensors that a reader asks for and the folder lacks, and those that it has no place for: one sentence each, of
// those that are not empty.
std::vector<std::string> other_tensors(const std::vector<std::string>& missing,
                                       const std::vector<std::string>& unexpected);

// Names weight files that MLX's loaders do not find, one sentence each.
std::vector<std::string> unnoticed_files(const Checkpoint& checkpoint);

}  // namespace mlxe
