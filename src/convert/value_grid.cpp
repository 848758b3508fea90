// The chance of a false alarm. n distinct values span [low, high]; a grid of m <= 255 steps is tried for
// every m. A value that has nothing to do with the grid falls within t steps of a point with probability 2t,
// so n - 2 of them (the ends define the grid) all do with (2t)^(n-2), and with 255 grids tried at most 255
// (2t)^(n-2):
//   float32   t = 0.01                 n >= 12: 255 * 0.02^10 = 3e-15
//   float16   t <= 0.01 + 0.125        n >= 48: 255 * 0.27^46 = 2e-24   (half an ulp is 2^-11 of a value;
//                                      a value lies at most 255 steps from zero)
//   bfloat16  t <= 0.01 + 1            only by the other test
// and where every value occurs 16 times on average, the few distinct values are the evidence already: weights
// never rounded repeat that often only in formats coarser than these. (bfloat16 has about 256 values for
// every doubling of magnitude, both signs counted, and weights spread over ten doublings.)
#include "convert/value_grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <vector>

namespace mlxe {
namespace {

constexpr int kMaxPoints = 256;
constexpr double kSlack = 0.01;   // of a step, for the arithmetic that made the values
constexpr int64_t kRepeats = 16;  // occurrences of a value on average that need no further evidence
constexpr int kFewest = 4;        // fewer lie on a grid too easily to mean anything

// Up to kMaxPoints distinct floats; open addressing over their bits.
class DistinctValues {
 public:
  DistinctValues() { clear(); }
  void clear() {
    used_.fill(false);
    values_.clear();
  }

  // False once there are too many.
  bool insert(float value) {
    if (!std::isfinite(value)) return false;
    if (value == 0) value = 0;  // -0 and 0 are one value
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    size_t slot = (bits * 2654435761u) >> 22;
    while (used_[slot]) {
      if (keys_[slot] == bits) return true;
      slot = (slot + 1) % kSlots;
    }
    if (values_.size() == kMaxPoints) return false;
    used_[slot] = true;
    keys_[slot] = bits;
    values_.push_back(value);
    return true;
  }
  bool insert(std::span<const float> values) {
    return std::ranges::all_of(values, [this](float v) { return insert(v); });
  }

  std::vector<double> sorted() const {
    std::vector<double> result(values_.begin(), values_.end());
    std::sort(result.begin(), result.end());
    return result;
  }

 private:
  static constexpr size_t kSlots = 1024;  // 2^10: the hash keeps 10 bits
  std::array<bool, kSlots> used_;
  std::array<uint32_t, kSlots> keys_{};
  std::vector<float> values_;
};

// Half an ulp, relative to the value.
double rounding(Dtype dtype) {
  switch (dtype) {
    case Dtype::f16:
      return 0x1p-11;
    case Dtype::bf16:
      return 0x1p-8;
    default:
      return 0x1p-23;
  }
}

int enough(Dtype dtype) {
  switch (dtype) {
    case Dtype::f16:
      return 48;
    case Dtype::bf16:
      return kMaxPoints + 1;  // never
    default:
      return 12;
  }
}

// The coarsest even grid through all values (sorted), if one has at most kMaxPoints points.
std::optional<ValueGrid> grid_through(const std::vector<double>& values, Dtype dtype) {
  const int n = static_cast<int>(values.size());
  const double low = values.front(), range = values.back() - values.front();
  if (n < 2 || !std::isfinite(range)) return std::nullopt;
  double gap = range;
  for (int i = 1; i < n; ++i) gap = std::min(gap, values[i] - values[i - 1]);
  const double blur = rounding(dtype);
  const auto tolerance = [&](double value) { return std::abs(value) * blur; };
  for (int steps = n - 1; steps < kMaxPoints; ++steps) {
    const double step = range / steps;
    const double largest = std::max(std::abs(values.front()), std::abs(values.back()));
    if (step > gap + 2 * kSlack * step + 2 * tolerance(largest)) continue;  // two values would share a point
    const bool all = std::ranges::all_of(values, [&](double v) {
      const double at = (v - low) / step;
      return std::abs(at - std::round(at)) * step <= kSlack * step + tolerance(v) + tolerance(low);
    });
    if (all) return ValueGrid{ValueGrid::Scope::tensor, n, steps + 1, step};
  }
  return std::nullopt;
}

}  // namespace

std::optional<ValueGrid> find_value_grid(int64_t rows, int64_t columns, Dtype dtype,
                                         const std::function<void(int64_t, std::span<float>)>& row) {
  std::vector<float> values(static_cast<size_t>(columns));
  DistinctValues distinct;
  int64_t r = 0;
  for (; r < rows; ++r) {
    row(r, values);
    if (!distinct.insert(values)) break;
  }
  if (r == rows) {
    const std::vector<double> sorted = distinct.sorted();
    const int n = static_cast<int>(sorted.size());
    const bool repeats = n >= kFewest && rows * columns >= kRepeats * n;
    if (n >= enough(dtype) || repeats)
      if (auto grid = grid_through(sorted, dtype)) return grid;
  }

  if (columns < enough(dtype)) return std::nullopt;  // no row can show a grid
  std::optional<ValueGrid> best;
  int64_t counted = 0;
  for (r = 0; r < rows; ++r) {
    row(r, values);
    distinct.clear();
    if (!distinct.insert(values)) return std::nullopt;
    const std::vector<double> sorted = distinct.sorted();
    if (static_cast<int>(sorted.size()) < enough(dtype)) continue;  // a row of zeros, say
    auto grid = grid_through(sorted, dtype);
    if (!grid) return std::nullopt;
    grid->scope = ValueGrid::Scope::row;
    ++counted;
    if (!best || grid->distinct > best->distinct) best = grid;
  }
  return counted * 2 > rows ? best : std::nullopt;
}

std::optional<ValueGrid> find_value_grid(const Checkpoint& checkpoint, const StoredWeight& weight) {
  if (weight.shape.size() != 2 || weight.scheme.mode != Mode::none || !is_float(weight.dtype))
    return std::nullopt;
  const int64_t rows = weight.shape[0], columns = weight.shape[1];
  if (rows == 0 || columns == 0) return std::nullopt;
  const size_t row_bytes = static_cast<size_t>(columns) * size_of(weight.dtype);
  auto grid = find_value_grid(rows, columns, weight.dtype, [&](int64_t row, std::span<float> out) {
    to_float(weight.dtype, weight.codes.subspan(static_cast<size_t>(row) * row_bytes, row_bytes), out);
  });
  checkpoint.release(weight.codes);
  return grid;
}

std::string to_string(const ValueGrid& grid, Dtype dtype) {
  return fmt::format("{} distinct values{} on an even grid of step {:.3g}, stored as {}", grid.distinct,
                     grid.scope == ValueGrid::Scope::row ? " a row" : "", grid.step, name(dtype));
}

}  // namespace mlxe
