// What a model is made of: handles into an engine's weights, and the visitor that names each tensor once.
#pragma once

#include <string>
#include <string_view>

#include "mlx_encoder/types.h"
#include "quant/role.h"

namespace mlxe {

// An engine's name for a weight it was given. Models hold handles only; the engine owns the storage.
using WeightId = int;
inline constexpr WeightId kNoWeight = -1;

struct ParameterSpec {
  std::string name;  // as in the checkpoint, base-model prefix removed: "encoder.layer.0.output.dense.weight"
  Shape shape;
  Role role;
};

// Whether a linear or a norm has a bias.
enum class Bias { yes, no };

struct Linear {
  WeightId weight = kNoWeight;  // [out, in]
  WeightId bias = kNoWeight;    // [out]; absent with Bias::no
  int64_t in = 0;
  int64_t out = 0;
  Bias has_bias = Bias::yes;
  // Of one part of a fused matrix (Wqkv): rows [first_row, first_row + out) of `stored_rows`.
  int64_t first_row = 0;
  int64_t stored_rows = 0;  // 0: out

  int64_t rows() const noexcept { return stored_rows > 0 ? stored_rows : out; }
  // All rows of the matrix.
  Linear whole() const noexcept {
    return {.weight = weight, .bias = bias, .in = in, .out = rows(), .has_bias = has_bias};
  }
};

struct LayerNorm {
  WeightId weight = kNoWeight;
  WeightId bias = kNoWeight;
  float epsilon = 0;
  int64_t size = 0;
  Bias has_bias = Bias::yes;
};

struct Embedding {
  WeightId weight = kNoWeight;  // [rows, columns]
  int64_t rows = 0;
  int64_t columns = 0;
};

// One visit serves loading, shape checks, conversion, policy, counting and `inspect`. Sizes and epsilon
// are set when the model is made; visiting only names the tensors.
class ParameterVisitor {
 public:
  virtual ~ParameterVisitor() = default;
  virtual void parameter(const ParameterSpec& spec, WeightId& handle) = 0;

  void linear(const std::string& prefix, Linear& l, Role role = Role::linear) {
    parameter({prefix + ".weight", {l.rows(), l.in}, role}, l.weight);
    if (l.has_bias == Bias::yes) parameter({prefix + ".bias", {l.rows()}, Role::bias}, l.bias);
  }
  void layer_norm(const std::string& prefix, LayerNorm& n) {
    parameter({prefix + ".weight", {n.size}, Role::norm}, n.weight);
    if (n.has_bias == Bias::yes) parameter({prefix + ".bias", {n.size}, Role::norm}, n.bias);
  }
  void embedding(const std::string& prefix, Embedding& e, Role role = Role::embedding) {
    parameter({prefix + ".weight", {e.rows, e.columns}, role}, e.weight);
  }
};

}  // namespace mlxe
