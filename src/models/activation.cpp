#include "models/activation.h"

#include <array>
#include <utility>

#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

// transformers/activations.py ACT2FN; names absent here have no encoder we know of and are refused by name.
constexpr std::array<std::pair<const char*, Activation>, 14> kSpellings{{
    {"linear", Activation::identity},
    {"relu", Activation::relu},
    {"gelu", Activation::gelu_erf},
    {"gelu_python", Activation::gelu_erf},
    {"gelu_new", Activation::gelu_tanh},
    {"gelu_fast", Activation::gelu_tanh},
    {"gelu_accurate", Activation::gelu_tanh},
    {"gelu_python_tanh", Activation::gelu_tanh},
    {"gelu_pytorch_tanh", Activation::gelu_tanh},
    {"quick_gelu", Activation::gelu_quick},
    {"silu", Activation::silu},
    {"swish", Activation::silu},
    {"tanh", Activation::tanh},
    {"sigmoid", Activation::sigmoid},
}};

}  // namespace

Activation parse_activation(const std::string& spelling, const std::string& where) {
  std::string known;
  for (const auto& [text, activation] : kSpellings) {
    if (spelling == text) return activation;
    known += (known.empty() ? "" : ", ") + std::string(text);
  }
  throw Error(ErrorCode::unsupported,
              where + " is \"" + spelling + "\", which this version can't compute; it knows " + known);
}

const char* name(Activation activation) noexcept {
  switch (activation) {
    case Activation::identity:
      return "identity";
    case Activation::relu:
      return "relu";
    case Activation::gelu_erf:
      return "gelu_erf";
    case Activation::gelu_tanh:
      return "gelu_tanh";
    case Activation::gelu_quick:
      return "gelu_quick";
    case Activation::silu:
      return "silu";
    case Activation::tanh:
      return "tanh";
    case Activation::sigmoid:
      return "sigmoid";
  }
  return "";
}

}  // namespace mlxe
