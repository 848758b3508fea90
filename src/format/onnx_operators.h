// Which operators of an ONNX graph read weights, and at which inputs.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace mlxe {

// A product with a matrix [in, out], or [out, in] if the attribute transB is 1. Indices of inputs; kNoInput: none.
struct OnnxProduct {
  static constexpr size_t kNoInput = 99;
  std::string_view op;
  size_t weight;
  size_t scale = kNoInput, zero_point = kNoInput;  // of the weight's codes
  size_t bias = kNoInput;
};

const OnnxProduct* find_onnx_product(std::string_view op);

// Whether the operator holds several of the model's weights as one, or holds them in a form that is not read.
bool merges_weights(std::string_view op);

// Whether the operator adds its second input to the first: a linear layer's bias.
bool adds_bias(std::string_view op);

}  // namespace mlxe
