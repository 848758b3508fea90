// The non-linearities encoders use. GELU's two forms are kept apart: they differ by up to 5e-4.
#pragma once

#include <string>

namespace mlxe {

enum class Activation {
  identity,
  relu,
  gelu_erf,    // x * Phi(x), exact
  gelu_tanh,   // 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
  gelu_quick,  // x * sigmoid(1.702 x)
  silu,        // x * sigmoid(x)
  tanh,
  sigmoid,
};

// From transformers' ACT2FN spelling ("gelu", "gelu_new", "swish", ...). `where` names the key in the
// message. Throws unsupported for a name not in the table.
Activation parse_activation(const std::string& spelling, const std::string& where);
const char* name(Activation activation) noexcept;

}  // namespace mlxe
