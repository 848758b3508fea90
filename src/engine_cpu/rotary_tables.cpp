#include "engine_cpu/rotary_tables.h"

#include <algorithm>
#include <cmath>

namespace mlxe::cpu {

RotaryTable::RotaryTable(const Rotary& rotary, int64_t columns, int64_t positions)
    : half_(columns / 2),
      positions_(positions),
      cosines_(static_cast<size_t>(half_ * positions)),
      sines_(cosines_.size()) {
  for (int64_t i = 0; i < half_; ++i) {
    const float frequency =
        rotary.scale / std::pow(rotary.base, static_cast<float>(2 * i) / static_cast<float>(columns));
    for (int64_t p = 0; p < positions; ++p) {
      const float angle = static_cast<float>(p) * frequency;
      cosines_[static_cast<size_t>(p * half_ + i)] = std::cos(angle);
      sines_[static_cast<size_t>(p * half_ + i)] = std::sin(angle);
    }
  }
}

void RotaryTable::turn(const float* x, int64_t position, float* out) const noexcept {
  const float* c = cosines_.data() + position * half_;
  const float* s = sines_.data() + position * half_;
  for (int64_t i = 0; i < half_; ++i) {
    const float a = x[i], b = x[half_ + i];
    out[i] = a * c[i] - b * s[i];
    out[half_ + i] = b * c[i] + a * s[i];
  }
}

const RotaryTable& RotaryTables::at(const Rotary& rotary, int64_t columns, int64_t positions) {
  const std::tuple key(rotary.base, rotary.scale, columns);
  const auto found = tables_.find(key);
  if (found != tables_.end() && found->second.positions() >= positions) return found->second;
  constexpr int64_t kFewest = 64;
  int64_t room = kFewest;
  while (room < positions) room *= 2;
  return tables_.insert_or_assign(key, RotaryTable(rotary, columns, room)).first->second;
}

}  // namespace mlxe::cpu
