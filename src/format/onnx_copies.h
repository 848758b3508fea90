// Weights of an ONNX export that are not stored as they are wanted: transposed and dequantized matrices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "format/onnx_weights.h"

namespace mlxe {

struct OnnxCopies {
  std::map<std::string, std::span<const std::byte>>
      data;                        // by the weight's name; only of those that are copied
  std::optional<MappedFile> file;  // that they lie in; none: in `memory`
  std::vector<std::unique_ptr<std::byte[]>> memory;
};

// Writes them to a temporary file without a name, so that the system can have their pages back as those of a file of weights;
// into memory if that fails. A conversion opens its model several times: a file that was just made for the same
// export is used again. Errors: unsupported (they are far larger than the export, which has `file_bytes` itself).
OnnxCopies copy_onnx_weights(const OnnxGraph& graph, std::span<const OnnxWeight> weights, uint64_t file_bytes,
                             const std::string& where);

}  // namespace mlxe
