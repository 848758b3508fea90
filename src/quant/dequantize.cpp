#include <fmt/format.h>

#include <cstring>
#include <vector>

#include "kernels/quantize_table.h"
#include "mlx_encoder/error.h"
#include "quant/group_scales.h"
#include "quant/matrix.h"

namespace mlxe {
namespace {

void check_component(std::span<const std::byte> component, uint64_t expected, const char* what) {
  if (component.size() != expected)
    throw Error(ErrorCode::format,
                fmt::format("{}: {} bytes, expected {}", what, component.size(), expected));
}

// One thread's reader of one matrix.
class Dequantizer {
 public:
  Dequantizer(const MatrixView& matrix, const Scheme& scheme, int64_t rows, int64_t columns)
      : matrix_(matrix),
        scheme_(scheme),
        rows_(static_cast<size_t>(rows)),
        columns_(static_cast<size_t>(columns)),
        group_size_(static_cast<size_t>(scheme.group_size)),
        scales_(group_size_ ? columns_ / group_size_ : 1),
        biases_(scales_.size()) {}

  void decode(size_t row, float* out) {
    const std::byte* codes = at(matrix_.codes, row);
    const auto* code_bytes = reinterpret_cast<const uint8_t*>(codes);
    const size_t groups = scales_.size();
    switch (scheme_.mode) {
      case Mode::none:
        load(codes, scheme_.dtype, {out, columns_});
        return check_finite(row, {out, columns_}, "value");
      case Mode::fake:
        load(codes, Dtype::f32, {out, columns_});
        return check_finite(row, {out, columns_}, "value");
      case Mode::affine:
        load(at(matrix_.scales, row), scheme_.dtype, scales_);
        load(at(matrix_.biases, row), scheme_.dtype, biases_);
        check_finite(row, scales_, "scale");
        check_finite(row, biases_, "bias");
        return kernels_.affine_decode(code_bytes, groups, group_size_, scheme_.bits, scales_.data(),
                                      biases_.data(), out);
      case Mode::mxfp4:
      case Mode::mxfp8:
      case Mode::nvfp4:
        return decode_float_codes(row, code_bytes, out);
      case Mode::int8: {
        load(at(matrix_.scales, row), Dtype::f32, scales_);
        check_finite(row, scales_, "scale");
        const auto zero_point = static_cast<float>(static_cast<int8_t>(*at(matrix_.biases, row)));
        return kernels_.int8_decode(reinterpret_cast<const int8_t*>(codes), columns_, scales_[0], zero_point,
                                    out);
      }
    }
  }

 private:
  void decode_float_codes(size_t row, const uint8_t* codes, float* out) {
    const size_t groups = scales_.size();
    const std::byte* stored = at(matrix_.scales, row);
    for (size_t g = 0; g < groups; ++g) {
      const auto scale = static_cast<uint8_t>(stored[g]);
      scales_[g] = scheme_.mode == Mode::nvfp4 ? e4m3_value(scale) : e8m0_value(scale);
    }
    check_finite(row, scales_, "scale");
    if (scheme_.mode == Mode::mxfp8)
      kernels_.e4m3_decode(codes, groups, group_size_, scales_.data(), out);
    else
      kernels_.e2m1_decode(codes, groups, group_size_, scales_.data(), out);
    check_finite(row, {out, columns_}, "value");
  }

  const std::byte* at(std::span<const std::byte> component, size_t row) const {
    return component.data() + component.size() / rows_ * row;
  }

  void load(const std::byte* from, Dtype dtype, std::span<float> to) const {
    switch (dtype) {
      case Dtype::f16:
        return kernels_.f16_to_f32(from, to.size(), to.data());
      case Dtype::bf16:
        return kernels_.bf16_to_f32(from, to.size(), to.data());
      default:
        std::memcpy(to.data(), from, to.size_bytes());
    }
  }

  void check_finite(size_t row, std::span<const float> values, const char* what) const {
    const size_t index = kernels_.find_not_finite(values.data(), values.size());
    if (index < values.size())
      throw Error(ErrorCode::numeric,
                  fmt::format("row {}: {} {} is not a finite number; the file is damaged", row, what, index));
  }

  const QuantizeKernels& kernels_ = quantize_kernels();
  MatrixView matrix_;
  Scheme scheme_;
  size_t rows_, columns_, group_size_;
  std::vector<float> scales_, biases_;
};

}  // namespace

MatrixView view(const QuantizedMatrix& matrix) noexcept {
  return {matrix.codes, matrix.scales, matrix.biases};
}

void dequantize_rows(const MatrixView& matrix, const Scheme& scheme, int64_t rows, int64_t columns,
                     int64_t first, int64_t count, std::span<float> out) {
  const ComponentBytes sizes = component_bytes(scheme, rows, columns);
  check_component(matrix.codes, sizes.codes, "codes");
  check_component(matrix.scales, sizes.scales, "scales");
  check_component(matrix.biases, sizes.biases, scheme.mode == Mode::affine ? "biases" : "zero points");
  if (first < 0 || count < 0 || count > rows - first)
    throw Error(ErrorCode::usage, fmt::format("dequantize: rows {} to {} of {}", first, first + count, rows));
  if (out.size() != static_cast<uint64_t>(count) * static_cast<uint64_t>(columns))
    throw Error(ErrorCode::internal, "dequantize_rows: the output span has the wrong size");
  if (count == 0) return;
  Dequantizer reader(matrix, scheme, rows, columns);
  for (int64_t i = 0; i < count; ++i) reader.decode(static_cast<size_t>(first + i), out.data() + i * columns);
}

std::vector<float> dequantize(const QuantizedMatrix& matrix) {
  std::vector<float> values(static_cast<size_t>(matrix.rows * matrix.columns));
  dequantize_rows(view(matrix), matrix.scheme, matrix.rows, matrix.columns, 0, matrix.rows, values);
  return values;
}

}  // namespace mlxe
