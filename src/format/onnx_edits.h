// What an ONNX graph or the optimizer that wrote it changes in weights.
#pragma once

#include <string>

#include "format/onnx_graph.h"

namespace mlxe {

// Errors: unsupported if an operator changes a parameter, such as "encoder.norm.weight", by numbers of the graph's own or by
// itself alone: Mul(weight, 2), Neg(weight). The parameter's stored values are not those that the graph uses. What the
// model computes of several parameters, such as a norm of a table, is the model's and no error, and operators that
// move values or choose some of them change none.
void require_unchanged_weights(const OnnxGraph& graph, const std::string& where);

// Gives each Gemm of a weight "X.weight" without a bias the parameter "X.bias" of zeros, if the graph has none of that name:
// torch.onnx's optimizer takes biases of zeros away, and linears that have none become MatMul.
void restore_zero_biases(OnnxGraph& graph);

}  // namespace mlxe
