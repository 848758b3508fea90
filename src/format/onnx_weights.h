// Which constants of an ONNX graph are the model's weights, and their names before the export.
#pragma once

#include <string>
#include <vector>

#include "format/onnx_constant.h"
#include "format/onnx_graph.h"

namespace mlxe {

// Ends every refusal of an export.
inline constexpr const char* kPlainExport =
    "give the export as torch.onnx or optimum wrote it, before any optimization, or the model's safetensors";

struct OnnxWeight {
  std::string name;
  OnnxConstant constant;  // points into the graph
};

// The weights in no order, each name once; a weight may have several. Errors: as parse_onnx.
std::vector<OnnxWeight> find_onnx_weights(const OnnxGraph& graph, const std::string& where);

}  // namespace mlxe
