#include "mlx_encoder/vector_precision.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iterator>
#include <span>
#include <utility>

#include "base/half.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

struct PrecisionRow {
  const char* name;
  Dtype dtype;
};
constexpr std::array kPrecisions{PrecisionRow{"float32", Dtype::f32}, PrecisionRow{"float16", Dtype::f16},
                                 PrecisionRow{"int8", Dtype::i8},     PrecisionRow{"uint8", Dtype::u8},
                                 PrecisionRow{"binary", Dtype::i8},   PrecisionRow{"ubinary", Dtype::u8}};

constexpr uint8_t kSigned = 0x80;  // a byte - 128 as int8 has the same bits but this one

const PrecisionRow& row_of(VectorPrecision precision) {
  return kPrecisions[static_cast<size_t>(precision)];
}

void require_columns(const VectorRanges& ranges, int64_t columns) {
  for (const auto* side : {&ranges.lowest, &ranges.highest})
    if (side->size() != static_cast<size_t>(columns))
      throw Error(
          ErrorCode::usage,
          fmt::format(
              "the ranges have {} columns, the vectors {} values; use ranges of vectors of this model "
              "and dimension",
              side->size(), columns));
}

// The codes 0 to 255 of a row. T is the type that NumPy computes in: the wider one of the vectors' and the ranges'.
template <class T>
void put_codes(std::span<const float> row, std::span<const T> lowest, std::span<const T> steps, uint8_t flip,
               std::byte* out) {
  for (size_t i = 0; i < row.size(); ++i) {
    const T code = std::floor((static_cast<T>(row[i]) - lowest[i]) / steps[i]);
    const T kept = code > 0 ? std::min(code, T{255}) : T{0};
    out[i] = static_cast<std::byte>(static_cast<uint8_t>(kept) ^ flip);
  }
}

template <class T>
void put_all_codes(const Vectors& vectors, const VectorRanges& ranges, uint8_t flip, std::byte* out) {
  std::vector<T> lowest, steps;
  for (size_t i = 0; i < ranges.lowest.size(); ++i) {
    const T low = static_cast<T>(ranges.lowest[i]), high = static_cast<T>(ranges.highest[i]);
    const T step = (high - low) / T{255};
    lowest.push_back(low);
    steps.push_back(step == 0 ? T{1} : step);
  }
  for (int64_t r = 0; r < vectors.rows; ++r)
    put_codes<T>(vectors.row(r), lowest, steps, flip, out + r * vectors.columns);
}

void put_bits(std::span<const float> row, uint8_t flip, std::byte* out) {
  for (size_t first = 0; first < row.size(); first += 8) {
    uint8_t bits = 0;
    for (size_t i = 0; i < 8 && first + i < row.size(); ++i)
      if (row[first + i] > 0) bits = static_cast<uint8_t>(bits | (0x80u >> i));
    *out++ = static_cast<std::byte>(bits ^ flip);
  }
}

void put_halves(const Vectors& vectors, size_t first_text, std::string_view row, std::byte* out) {
  for (size_t i = 0; i < vectors.values.size(); ++i) {
    const uint16_t half = float_to_f16(vectors.values[i]);
    if (std::isinf(f16_to_float(half)))
      throw Error(ErrorCode::numeric,
                  fmt::format("{} {}: value {} of its vector is {}, float16 ends at 65504; use float32", row,
                              first_text + i / static_cast<size_t>(vectors.columns) + 1,
                              i % static_cast<size_t>(vectors.columns), vectors.values[i]));
    std::memcpy(out + i * sizeof(half), &half, sizeof(half));
  }
}

}  // namespace

VectorPrecision parse_vector_precision(std::string_view spelling) {
  for (size_t i = 0; i < kPrecisions.size(); ++i)
    if (spelling == kPrecisions[i].name) return static_cast<VectorPrecision>(i);
  throw Error(ErrorCode::usage,
              fmt::format("precision {}: expected float32, float16, int8, uint8, binary or ubinary",
                          printable(spelling)));
}

const char* name(VectorPrecision precision) noexcept {
  return row_of(precision).name;
}

Dtype dtype_of(VectorPrecision precision) noexcept {
  return row_of(precision).dtype;
}

bool needs_ranges(VectorPrecision precision) noexcept {
  return precision == VectorPrecision::int8 || precision == VectorPrecision::uint8;
}

int64_t packed_columns(int64_t columns, VectorPrecision precision) noexcept {
  const bool bits = precision == VectorPrecision::binary || precision == VectorPrecision::ubinary;
  return bits ? (columns + 7) / 8 : columns;
}

void VectorRanges::widen(const Vectors& vectors) {
  if (vectors.rows == 0) return;
  if (empty()) {
    const auto first = vectors.row(0);
    lowest.assign(first.begin(), first.end());
    highest = lowest;
  }
  require_columns(*this, vectors.columns);
  for (int64_t r = 0; r < vectors.rows; ++r) {
    const auto row = vectors.row(r);
    for (size_t i = 0; i < row.size(); ++i) {
      lowest[i] = std::min<double>(lowest[i], row[i]);
      highest[i] = std::max<double>(highest[i], row[i]);
    }
  }
}

PackedVectors quantize(const Vectors& vectors, VectorPrecision precision, const VectorRanges& ranges,
                       size_t first_text, std::string_view row) {
  const int64_t columns = packed_columns(vectors.columns, precision);
  const Dtype dtype = dtype_of(precision);
  PackedVectors packed{vectors.rows, columns, dtype, {}};
  packed.values.resize(static_cast<size_t>(vectors.rows * columns) * size_of(dtype));
  std::byte* out = packed.values.data();
  const uint8_t flip = dtype == Dtype::i8 ? kSigned : 0;
  if (precision == VectorPrecision::float32) {
    std::ranges::copy(std::as_bytes(std::span(vectors.values)), out);
  } else if (precision == VectorPrecision::float16) {
    put_halves(vectors, first_text, row, out);
  } else if (!needs_ranges(precision)) {
    for (int64_t r = 0; r < vectors.rows; ++r) put_bits(vectors.row(r), flip, out + r * columns);
  } else {
    require_columns(ranges, vectors.columns);
    if (ranges.in_float64)
      put_all_codes<double>(vectors, ranges, flip, out);
    else
      put_all_codes<float>(vectors, ranges, flip, out);
  }
  return packed;
}

}  // namespace mlxe
