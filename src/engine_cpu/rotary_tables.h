// Sines and cosines of rotary positions.
#pragma once

#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "models/ops.h"

namespace mlxe::cpu {

// Of one kind and one width of heads; a row for each position.
class RotaryTable {
 public:
  RotaryTable(const Rotary& rotary, int64_t columns, int64_t positions);

  int64_t positions() const noexcept { return positions_; }
  // Turns a row of `columns` values at a position. The arithmetic is float32, as in transformers.
  void turn(const float* x, int64_t position, float* out) const noexcept;

 private:
  int64_t half_, positions_;
  std::vector<float> cosines_, sines_;  // [positions, half]
};

class RotaryTables {
 public:
  // For at least that many positions. The reference is valid until the next call.
  const RotaryTable& at(const Rotary& rotary, int64_t columns, int64_t positions);

 private:
  std::map<std::tuple<float, float, int64_t>, RotaryTable> tables_;  // by base, scale and columns
};

}  // namespace mlxe::cpu
