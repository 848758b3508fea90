// The two linears that bge-m3 has beside its encoder (Chen et al., arXiv:2402.03216), each a torch state dict with
// "weight" and "bias" in a file of its own:
//   sparse_linear.pt   [1, D]  the weight of a token
//   colbert_linear.pt  [C, D]  the vector of a token
#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <optional>

#include "format/stored_weight.h"
#include "format/tensor_file.h"

namespace mlxe {

inline constexpr std::array kM3Files{"sparse_linear.pt", "colbert_linear.pt"};

struct M3Linear {
  std::string name;           // "sparse_linear": the tensors are "sparse_linear.weight" and ".bias"
  StoredWeight weight, bias;  // [out, in], [out]
  std::shared_ptr<const TensorFile> file;  // owns the memory of the spans
};

struct M3Heads {
  M3Linear sparse, colbert;
};

// Empty if the folder has neither file. Errors: format (one without the other; a tensor that is missing, too many or of
// another shape), unsupported (what torch files of this kind do not hold), io.
std::optional<M3Heads> read_m3_heads(const std::filesystem::path& folder);

}  // namespace mlxe
