// Changes of weights that an ONNX graph computes before it uses them.
#pragma once

#include <string>

#include "format/onnx_graph.h"

namespace mlxe {

// Errors: unsupported if an operator changes a parameter, such as "encoder.norm.weight", by numbers of the graph's own or by
// itself alone: Mul(weight, 2), Neg(weight). The parameter's stored values are not those that the graph uses. What the
// model computes of several parameters, such as a norm of a table, is the model's and no error, and operators that
// move values or choose some of them change none.
void require_unchanged_weights(const OnnxGraph& graph, const std::string& where);

}  // namespace mlxe
