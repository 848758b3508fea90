// A model's parameters, and modules that refer to an engine's weights by handles.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "mlx_encoder/types.h"
#include "quant/role.h"

namespace mlxe {

// An engine's name for a weight it was given. Models hold handles only; the engine owns the storage.
using WeightId = int;
inline constexpr WeightId kNoWeight = -1;

// The part of a model that a parameter belongs to. Reports of sizes group tensors by it. The code that records a
// parameter states it.
enum class Component { embeddings, attention, feed_forward, norms, head };
inline const char* name(Component component) noexcept {
  constexpr std::array kNames{"embeddings", "attention", "feed-forward", "norms", "head"};
  return kNames[static_cast<size_t>(component)];
}

// An index into Plan::parameters.
using ParameterId = int;
inline constexpr ParameterId kNoParameter = -1;

enum class ParameterFile { checkpoint, sentence_module };

struct Parameter {
  // As in the checkpoint, without the base model's prefix: "encoder.layer.0.output.dense.weight". A parameter of a
  // sentence-transformers module has the folder in front: "2_Dense/linear.weight".
  std::string name;
  Shape shape;
  Role role;
  Component component;
  std::optional<int64_t> layer;  // of the encoder, from 0; absent for embeddings and heads
  ParameterFile file = ParameterFile::checkpoint;
  WeightId handle = kNoWeight;  // of the engine the model is bound to
};

// Whether a linear or a norm has a bias.
enum class Bias { yes, no };

struct Linear {
  WeightId weight = kNoWeight;  // [out, in]
  WeightId bias = kNoWeight;    // [out]; absent with Bias::no
  int64_t in = 0;
  int64_t out = 0;
  Bias has_bias = Bias::yes;
  // A part of a fused matrix (Wqkv) is rows [first_row, first_row + out) of `stored_rows`.
  int64_t first_row = 0;
  int64_t stored_rows = 0;  // 0: `out`, the matrix is not fused

  int64_t rows() const noexcept { return stored_rows > 0 ? stored_rows : out; }
  // All rows of the matrix.
  Linear whole() const noexcept {
    return {.weight = weight, .bias = bias, .in = in, .out = rows(), .has_bias = has_bias};
  }
};

enum class NormKind {
  layer,         // (x - mean) / sqrt(variance + epsilon) * weight + bias
  rms,           // x / sqrt(mean of x^2 + epsilon) * weight
  rms_one_plus,  // x / sqrt(mean of x^2 + epsilon) * (1 + weight)
  affine,        // x * weight + bias
};

// What a norm of this kind multiplies with, of a stored weight.
inline float gain(NormKind kind, float weight) noexcept {
  return kind == NormKind::rms_one_plus ? 1 + weight : weight;
}

struct LayerNorm {
  WeightId weight = kNoWeight;
  WeightId bias = kNoWeight;
  float epsilon = 0;
  int64_t size = 0;
  Bias has_bias = Bias::yes;
  NormKind kind = NormKind::layer;
};

// Along the tokens of a text, whose ends are padded with zeros: the result has the text's length. The channels of the
// result, as many as those of the input, are in `groups` parts of consecutive channels. Each part is computed from the
// same part of the input.
struct Convolution {
  WeightId weight = kNoWeight;  // [channels, channels / groups, kernel]
  WeightId bias = kNoWeight;    // [channels]
  int64_t channels = 0;
  int64_t kernel = 1;  // odd: tokens that a result depends on, as many before as after its own
  int64_t groups = 1;
};

// Added to each row. For a bias that is stored apart from its matrix.
struct RowBias {
  WeightId weight = kNoWeight;  // [size]
  int64_t size = 0;
};

struct Embedding {
  WeightId weight = kNoWeight;  // [rows, columns]
  int64_t rows = 0;
  int64_t columns = 0;
  float scale = 1;  // what a row is multiplied with when it is looked up
};

}  // namespace mlxe
