// A model's weights as MLX arrays, by WeightId.
#pragma once

#include <mlx/mlx.h>

#include <optional>
#include <string>
#include <vector>

#include "format/stored_weight.h"
#include "models/parameters.h"

namespace mlxe {

namespace mx = mlx::core;

struct MlxWeight {
  std::string name;
  Scheme scheme;                            // mode none once the values are plain
  mx::Dtype dtype = mx::float32;            // of the dequantized values
  mx::array codes{0.0f};                    // plain values, or U32 codes [O, I*bits/32]
  std::optional<mx::array> scales, biases;  // as stored, or float32 on the CPU device

  bool quantized() const { return scheme.mode != Mode::none; }
};

class MlxWeights {
 public:
  // `upcast`: converts all floats to float32, because MLX's CPU backend computes 16-bit floats some 35
  // times slower.
  explicit MlxWeights(bool upcast) : upcast_(upcast) {}

  // Copies the bytes of the spans. Errors: format (sizes contradict the scheme), unsupported (a dtype that
  // is no float).
  WeightId add(const StoredWeight& stored);
  const MlxWeight& at(WeightId id) const { return weights_.at(static_cast<size_t>(id)); }

  std::vector<std::string> notes() const;  // messages about converted weights

 private:
  mx::array floats(const mx::array& stored);
  MlxWeight from_int8(const StoredWeight& stored);

  bool upcast_;
  bool upcast_any_ = false;
  bool int8_any_ = false;
  std::vector<MlxWeight> weights_;
};

}  // namespace mlxe
