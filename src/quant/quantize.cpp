#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/quantize_table.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/quantize.h"
#include "quant/group_scales.h"
#include "quant/matrix.h"

namespace mlxe {
namespace {

// Values in one unit of work: large enough to hide its overhead, small enough that the last one ends soon.
constexpr int64_t kBlockValues = 1 << 15;

Dtype cast_dtype(const Scheme& scheme) {
  return scheme.mode == Mode::int8 || scheme.mode == Mode::fake ? Dtype::f32 : scheme.dtype;
}

// One thread's working memory for one row.
struct Scratch {
  explicit Scratch(int64_t columns, int64_t groups)
      : values(static_cast<size_t>(columns)),
        quotients(values.size()),
        halves(values.size()),
        low(static_cast<size_t>(groups)),
        high(low.size()),
        scales(low.size()),
        biases(low.size()) {}

  std::vector<float> values, quotients;
  std::vector<uint16_t> halves;
  std::vector<float> low, high, scales, biases;
};

class Quantizer {
 public:
  Quantizer(std::span<const std::byte> values, Dtype source, int64_t rows, int64_t columns,
            const Scheme& scheme, const MatrixComponents& out, int64_t first_row)
      : values_(values),
        source_(source),
        rows_(rows),
        columns_(columns),
        first_row_(first_row),
        scheme_(scheme),
        out_(out) {}

  void run(ThreadPool& pool) {
    const int64_t groups = scheme_.group_size ? columns_ / scheme_.group_size : 1;
    std::vector<Scratch> scratch(static_cast<size_t>(pool.threads()), Scratch(columns_, groups));
    if (scheme_.mode == Mode::fake) find_tensor_grid(pool, scratch);
    for_each_row(pool, scratch, [this](int64_t row, Scratch& s) { encode(row, s); });
  }

 private:
  template <class Body>
  void for_each_row(ThreadPool& pool, std::vector<Scratch>& scratch, Body body) {
    const int64_t block = std::max<int64_t>(1, kBlockValues / columns_);
    pool.parallel_for((rows_ + block - 1) / block, [&](int64_t index, int slot) {
      const int64_t end = std::min(rows_, (index + 1) * block);
      for (int64_t row = index * block; row < end; ++row) body(row, scratch[static_cast<size_t>(slot)]);
    });
    if (first_bad_ != kNone) throw Error(ErrorCode::numeric, describe(first_bad_));
  }

  // All rows are checked even after a bad value, so that the reported value does not depend on the number of
  // threads.
  void report(int64_t row, size_t column) {
    const int64_t index = row * columns_ + static_cast<int64_t>(column);
    int64_t seen = first_bad_;
    while (index < seen && !first_bad_.compare_exchange_weak(seen, index)) {
    }
  }

  double source_value(int64_t index) const {
    const std::byte* at = values_.data() + static_cast<size_t>(index) * size_of(source_);
    if (source_ == Dtype::f64) {
      double value;
      std::memcpy(&value, at, sizeof value);
      return value;
    }
    float value;
    switch (source_) {
      case Dtype::f16:
        kernels_.f16_to_f32(at, 1, &value);
        break;
      case Dtype::bf16:
        kernels_.bf16_to_f32(at, 1, &value);
        break;
      default:
        std::memcpy(&value, at, sizeof value);
    }
    return value;
  }

  std::string describe(int64_t index) const {
    const std::string where =
        fmt::format("row {}, column {}: ", first_row_ + index / columns_, index % columns_);
    const double value = source_value(index);
    if (std::isnan(value)) return where + "found NaN, expected a finite number; the checkpoint is damaged";
    if (std::isinf(value))
      return where + "found infinity, expected a finite number; the checkpoint is damaged";
    const double limit = cast_dtype(scheme_) == Dtype::f16 ? 65504.0 : std::numeric_limits<float>::max();
    if (std::abs(value) > limit)
      return where + fmt::format("{} is beyond the largest {} number, {}; choose a wider dtype", value,
                                 name(cast_dtype(scheme_)), limit);
    return where + "the range of the values that share a scale exceeds float32; the checkpoint is damaged";
  }

  // Loads the row as float32, rounded to the scheme's dtype. False if a value is not finite.
  bool load(int64_t row, Scratch& s) {
    const auto n = static_cast<size_t>(columns_);
    const std::byte* from = values_.data() + static_cast<size_t>(row) * n * size_of(source_);
    float* to = s.values.data();
    switch (source_) {
      case Dtype::f64:
        kernels_.f64_to_f32(from, n, to);
        break;
      case Dtype::f16:
        kernels_.f16_to_f32(from, n, to);
        break;
      case Dtype::bf16:
        kernels_.bf16_to_f32(from, n, to);
        break;
      default:
        std::memcpy(to, from, n * sizeof(float));
    }
    size_t bad = kernels_.find_not_finite(to, n);
    const Dtype target = cast_dtype(scheme_);
    if (bad == n && target != source_ && target != Dtype::f32) {
      round_to(target, to, s);
      bad = kernels_.find_not_finite(to, n);
    }
    if (bad < n) report(row, bad);
    return bad == n;
  }

  void round_to(Dtype dtype, float* values, Scratch& s) const {
    const size_t n = s.values.size();
    if (dtype == Dtype::f16) {
      kernels_.f32_to_f16(values, n, s.halves.data());
      kernels_.f16_to_f32(s.halves.data(), n, values);
    } else if (dtype == Dtype::bf16) {
      kernels_.f32_to_bf16(values, n, s.halves.data());
      kernels_.bf16_to_f32(s.halves.data(), n, values);
    }
  }

  // Writes floats in the scheme's dtype.
  void store(std::span<const float> values, std::byte* out) const {
    switch (scheme_.dtype) {
      case Dtype::f16:
        kernels_.f32_to_f16(values.data(), values.size(), out);
        break;
      case Dtype::bf16:
        kernels_.f32_to_bf16(values.data(), values.size(), out);
        break;
      default:
        std::memcpy(out, values.data(), values.size_bytes());
    }
  }

  // The first byte of row `row` of a component. All rows have the same size.
  std::byte* at(std::span<std::byte> component, int64_t row) const {
    return component.data() + component.size() / static_cast<size_t>(rows_) * static_cast<size_t>(row);
  }
  uint8_t* codes_at(int64_t row) const { return reinterpret_cast<uint8_t*>(at(out_.codes, row)); }

  void encode(int64_t row, Scratch& s) {
    if (!load(row, s)) return;
    switch (scheme_.mode) {
      case Mode::none:
        return store(s.values, at(out_.codes, row));
      case Mode::affine:
        return encode_affine(row, s);
      case Mode::mxfp4:
      case Mode::mxfp8:
      case Mode::nvfp4:
        return encode_float_codes(row, s);
      case Mode::int8:
        return encode_int8(row, s);
      case Mode::fake:
        return encode_fake(row, s);
    }
  }

  void encode_affine(int64_t row, Scratch& s) {
    const auto group_size = static_cast<size_t>(scheme_.group_size);
    const size_t groups = s.scales.size();
    kernels_.min_max(s.values.data(), groups, group_size, s.low.data(), s.high.data());
    for (size_t g = 0; g < groups; ++g) {
      const AffineGroup group = affine_group(s.low[g], s.high[g], scheme_.bits);
      if (!std::isfinite(group.scale)) return report(row, g * group_size);
      s.scales[g] = group.scale;
      s.biases[g] = group.bias;
    }
    kernels_.affine_encode(s.values.data(), groups, group_size, scheme_.bits, s.scales.data(),
                           s.biases.data(), codes_at(row));
    store(s.scales, at(out_.scales, row));
    store(s.biases, at(out_.biases, row));
  }

  void encode_float_codes(int64_t row, Scratch& s) {
    const auto group_size = static_cast<size_t>(scheme_.group_size);
    const size_t groups = s.scales.size();
    kernels_.min_max(s.values.data(), groups, group_size, s.low.data(), s.high.data());
    for (size_t g = 0; g < groups; ++g) {
      const float largest = std::max(std::abs(s.low[g]), std::abs(s.high[g]));
      uint8_t scale;
      if (scheme_.mode == Mode::nvfp4) {
        scale = e4m3_scale(largest, scheme_.dtype);
        s.scales[g] = scale ? e4m3_value(scale) : std::numeric_limits<float>::infinity();  // gives codes 0
      } else {
        scale = e8m0_scale(largest, scheme_.mode == Mode::mxfp4 ? 6 : 448, scheme_.dtype);
        s.scales[g] = e8m0_value(scale);
      }
      at(out_.scales, row)[g] = static_cast<std::byte>(scale);
    }
    kernels_.divide(s.values.data(), groups, group_size, s.scales.data(), s.quotients.data());
    if (scheme_.mode == Mode::nvfp4)
      round_to(scheme_.dtype, s.quotients.data(), s);  // others: powers of two, exact
    if (scheme_.mode == Mode::mxfp8)
      kernels_.e4m3_encode(s.quotients.data(), s.quotients.size(), codes_at(row));
    else
      kernels_.e2m1_encode(s.quotients.data(), s.quotients.size(), codes_at(row));
  }

  void encode_int8(int64_t row, Scratch& s) {
    float low, high;
    kernels_.min_max(s.values.data(), 1, s.values.size(), &low, &high);
    const Int8Grid grid = int8_grid(low, high);
    kernels_.int8_encode(s.values.data(), s.values.size(), grid.scale, grid.zero_point,
                         reinterpret_cast<int8_t*>(codes_at(row)));
    std::memcpy(at(out_.scales, row), &grid.scale, sizeof grid.scale);
    *at(out_.biases, row) = static_cast<std::byte>(static_cast<int8_t>(grid.zero_point));
  }

  void find_tensor_grid(ThreadPool& pool, std::vector<Scratch>& scratch) {
    for (Scratch& s : scratch) s.low[0] = s.high[0] = 0;
    for_each_row(pool, scratch, [this](int64_t row, Scratch& s) {
      if (!load(row, s)) return;
      float low, high;
      kernels_.min_max(s.values.data(), 1, s.values.size(), &low, &high);
      s.low[0] = std::min(s.low[0], low);
      s.high[0] = std::max(s.high[0], high);
    });
    float low = 0, high = 0;
    for (const Scratch& s : scratch) {
      low = std::min(low, s.low[0]);
      high = std::max(high, s.high[0]);
    }
    tensor_grid_ = int8_grid(low, high);
    std::memcpy(out_.scales.data(), &tensor_grid_.scale, sizeof(float));
    std::memcpy(out_.biases.data(), &tensor_grid_.zero_point, sizeof(float));
  }

  void encode_fake(int64_t row, Scratch& s) {
    auto* codes = reinterpret_cast<int8_t*>(s.halves.data());
    kernels_.int8_encode(s.values.data(), s.values.size(), tensor_grid_.scale, tensor_grid_.zero_point,
                         codes);
    kernels_.int8_decode(codes, s.values.size(), tensor_grid_.scale, tensor_grid_.zero_point,
                         s.values.data());
    std::memcpy(at(out_.codes, row), s.values.data(), s.values.size() * sizeof(float));
  }

  static constexpr int64_t kNone = std::numeric_limits<int64_t>::max();

  const QuantizeKernels& kernels_ = quantize_kernels();
  std::span<const std::byte> values_;
  Dtype source_;
  int64_t rows_, columns_, first_row_;
  Scheme scheme_;
  MatrixComponents out_;
  Int8Grid tensor_grid_{};
  std::atomic<int64_t> first_bad_{kNone};
};

}  // namespace

void quantize_into(std::span<const std::byte> values, Dtype source, int64_t rows, int64_t columns,
                   const Scheme& scheme, const MatrixComponents& out, ThreadPool& pool, int64_t first_row) {
  const ComponentBytes sizes = component_bytes(scheme, rows, columns);
  if (!is_float(source))
    throw Error(ErrorCode::usage,
                fmt::format("quantize: values of dtype {}; expected a float dtype", name(source)));
  const uint64_t expected = static_cast<uint64_t>(rows) * static_cast<uint64_t>(columns) * size_of(source);
  if (values.size() != expected)
    throw Error(ErrorCode::usage,
                fmt::format("quantize: {} bytes of {} values; a {} matrix has {}", values.size(),
                            name(source), to_string(Shape{rows, columns}), expected));
  if (out.codes.size() != sizes.codes || out.scales.size() != sizes.scales ||
      out.biases.size() != sizes.biases)
    throw Error(ErrorCode::internal, "quantize_into: an output span has the wrong size");
  if (rows == 0) return;
  Quantizer(values, source, rows, columns, scheme, out, first_row).run(pool);
}

QuantizedMatrix empty_matrix(const Scheme& scheme, int64_t rows, int64_t columns) {
  const ComponentBytes sizes = component_bytes(scheme, rows, columns);
  return {scheme,
          rows,
          columns,
          std::vector<std::byte>(sizes.codes),
          std::vector<std::byte>(sizes.scales),
          std::vector<std::byte>(sizes.biases)};
}

QuantizedMatrix quantize(std::span<const std::byte> values, Dtype source, int64_t rows, int64_t columns,
                         const Scheme& scheme, ThreadPool& pool) {
  QuantizedMatrix matrix = empty_matrix(scheme, rows, columns);
  quantize_into(values, source, rows, columns, scheme, {matrix.codes, matrix.scales, matrix.biases}, pool);
  return matrix;
}

QuantizedMatrix quantize(std::span<const std::byte> values, Dtype source, int64_t rows, int64_t columns,
                         const Scheme& scheme, int threads) {
  ThreadPool pool(threads);
  return quantize(values, source, rows, columns, scheme, pool);
}

}  // namespace mlxe
