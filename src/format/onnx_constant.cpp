#include "format/onnx_constant.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

int64_t ceil_divide(int64_t a, int64_t b) {
  return a / b + (a % b != 0);
}

// Elements of a shape; the graph's reader has checked that they are fewer than 2^63.
int64_t elements_of(const OnnxTensor& tensor) {
  return element_count(tensor.shape);
}

[[noreturn]] void contradicts(const std::string& where, const OnnxTensor& codes, const std::string& what) {
  throw Error(ErrorCode::format,
              fmt::format("{}: the codes {}, {} {}, have {}; is the download complete?", where,
                          printable(codes.name), codes.type, to_string(codes.shape), what));
}

bool is_code(const OnnxTensor& tensor) {
  return tensor.bits == 4 || tensor.dtype == Dtype::u8 || tensor.dtype == Dtype::i8 ||
         tensor.dtype == Dtype::i32;
}

bool has_sign(const OnnxTensor& codes) {
  return codes.type.starts_with("INT");
}

// The code at this index, whose bytes were checked to be there.
float code_at(std::span<const std::byte> data, int bits, bool is_signed, int64_t index) {
  const auto at = static_cast<uint64_t>(index);
  if (bits == 32) {
    int32_t value;
    std::memcpy(&value, data.data() + at * 4, sizeof value);
    return static_cast<float>(value);
  }
  const auto per_byte = static_cast<uint64_t>(8 / bits);
  const unsigned byte = std::to_integer<unsigned>(data[at / per_byte]);
  const unsigned code = byte >> (at % per_byte * static_cast<unsigned>(bits)) & ((1u << bits) - 1);
  const int sign_bit = 1 << (bits - 1);
  return static_cast<float>(is_signed ? (static_cast<int>(code) ^ sign_bit) - sign_bit
                                      : static_cast<int>(code));
}

std::vector<float> floats_of(const OnnxTensor& tensor) {
  std::vector<float> values(static_cast<size_t>(elements_of(tensor)));
  to_float(*tensor.dtype, tensor.data, values);
  return values;
}

// Each zero point as a float; empty if there are none.
std::vector<float> zeros_of(const OnnxScales& scales, int64_t rows_of_blocks) {
  std::vector<float> zeros;
  if (!scales.zero_point) return zeros;
  const OnnxTensor& stored = *scales.zero_point;
  if (stored.dtype && is_float(*stored.dtype)) return floats_of(stored);
  for (int64_t r = 0; r < rows_of_blocks; ++r)
    for (int64_t c = 0; c < scales.row_of_blocks; ++c)
      zeros.push_back(code_at(stored.data, scales.bits, scales.is_signed, r * scales.zero_stride + c));
  return zeros;
}

// Errors of scales that belong to no such codes. `scales.bits` and the strides are set.
void check_sizes(const OnnxTensor& codes, const OnnxScales& scales, int64_t rows, int64_t columns,
                 const std::string& where) {
  const int64_t rows_of_blocks = ceil_divide(rows, scales.row_block);
  int64_t count = 0, codes_needed = 0, zeros_needed = 0;
  if (__builtin_mul_overflow(rows_of_blocks, scales.row_of_blocks, &count) ||
      __builtin_mul_overflow(rows, scales.code_stride, &codes_needed) ||
      __builtin_mul_overflow(rows_of_blocks, scales.zero_stride, &zeros_needed) ||
      scales.code_stride < columns)
    contradicts(where, codes, "an impossible size");
  const auto bytes_for = [&](int64_t number) {
    return scales.bits == 32 ? static_cast<uint64_t>(number) * 4
                             : static_cast<uint64_t>(ceil_divide(number, 8 / scales.bits));
  };
  if (codes.data.size() < bytes_for(codes_needed))
    contradicts(
        where, codes,
        fmt::format("{} bytes for [{}, {}] of {} bits", codes.data.size(), rows, columns, scales.bits));
  if (!scales.scale->dtype || !is_float(*scales.scale->dtype) || elements_of(*scales.scale) != count)
    contradicts(where, codes,
                fmt::format("the scales {} {}, expected {}", scales.scale->type,
                            to_string(scales.scale->shape), count));
  if (!scales.zero_point) return;
  const OnnxTensor& zero = *scales.zero_point;
  const bool fits = zero.dtype && is_float(*zero.dtype) ? elements_of(zero) == count
                                                        : zero.data.size() == bytes_for(zeros_needed);
  if (!fits)
    contradicts(where, codes,
                fmt::format("the zero points {} {}, expected {}", zero.type, to_string(zero.shape), count));
}

void transpose(const std::byte* in, std::byte* out, size_t rows, size_t columns, size_t element) {
  constexpr size_t kTile = 32;  // rows and columns whose lines stay in the cache
  for (size_t r0 = 0; r0 < rows; r0 += kTile)
    for (size_t c0 = 0; c0 < columns; c0 += kTile)
      for (size_t c = c0; c < std::min(c0 + kTile, columns); ++c)
        for (size_t r = r0; r < std::min(r0 + kTile, rows); ++r)
          std::memcpy(out + (c * rows + r) * element, in + (r * columns + c) * element, element);
}

}  // namespace

Shape OnnxConstant::final_shape() const {
  return transposed ? Shape{shape[1], shape[0]} : shape;
}

std::optional<Dtype> OnnxConstant::dtype() const {
  if (scales) return Dtype::f32;
  return values->dtype && is_float(*values->dtype) ? values->dtype : std::nullopt;
}

uint64_t OnnxConstant::bytes() const {
  return static_cast<uint64_t>(element_count(shape)) * size_of(*dtype());
}

uint64_t OnnxConstant::stored_bytes() const {
  uint64_t total = values->data.size();
  if (scales) total += scales->scale->data.size();
  if (scales && scales->zero_point) total += scales->zero_point->data.size();
  return total;
}

bool OnnxConstant::is_stored_as(const OnnxConstant& other) const {
  const auto same = [](const OnnxTensor* a, const OnnxTensor* b) {
    if (a == b) return true;
    if (!a || !b || a->type != b->type || a->data.size() != b->data.size()) return false;
    return a->data.data() == b->data.data() || std::ranges::equal(a->data, b->data);
  };
  if (transposed != other.transposed || shape != other.shape ||
      scales.has_value() != other.scales.has_value())
    return false;
  if (scales) {
    const OnnxScales &a = *scales, &b = *other.scales;
    const auto layout = [](const OnnxScales& s) {
      return std::tuple(s.zero, s.row_block, s.column_block, s.row_of_blocks, s.bits, s.is_signed,
                        s.code_stride, s.zero_stride);
    };
    if (layout(a) != layout(b) || !same(a.scale, b.scale) || !same(a.zero_point, b.zero_point)) return false;
  }
  return same(values, other.values);
}

OnnxConstant::Key OnnxConstant::key() const {
  return {values, scales ? scales->scale : nullptr, scales ? scales->zero_point : nullptr, transposed};
}

void OnnxConstant::write(std::byte* out) const {
  const size_t element = size_of(*dtype());
  const auto rows = static_cast<size_t>(shape.size() == 2 ? shape[0] : 1);
  const auto columns = rows == 0 ? 0 : static_cast<size_t>(element_count(shape)) / rows;
  if (!scales) {
    if (transposed)
      transpose(values->data.data(), out, rows, columns, element);
    else
      std::memcpy(out, values->data.data(), values->data.size());
    return;
  }
  const std::vector<float> scale = floats_of(*scales->scale);
  const std::vector<float> zeros =
      zeros_of(*scales, ceil_divide(static_cast<int64_t>(rows), scales->row_block));
  const auto block = static_cast<size_t>(scales->column_block);
  for (size_t r = 0; r < rows; ++r) {
    const int64_t first = static_cast<int64_t>(r) / scales->row_block * scales->row_of_blocks;
    const int64_t row = static_cast<int64_t>(r) * scales->code_stride;
    for (size_t c0 = 0, b = 0; c0 < columns; c0 += block, ++b) {
      const size_t group = static_cast<size_t>(first) + b;
      const float zero = zeros.empty() ? scales->zero : zeros[group];
      for (size_t c = c0; c < std::min(c0 + block, columns); ++c) {
        const float code =
            code_at(values->data, scales->bits, scales->is_signed, row + static_cast<int64_t>(c));
        const float value = (code - zero) * scale[group];
        std::memcpy(out + (transposed ? c * rows + r : r * columns + c) * sizeof value, &value, sizeof value);
      }
    }
  }
}

OnnxConstant onnx_constant(const OnnxTensor& tensor) {
  return {.values = &tensor, .shape = tensor.shape};
}

OnnxConstant dequantized(const OnnxTensor& codes, const OnnxTensor& scale, const OnnxTensor* zero_point,
                         int64_t axis, int64_t block, const std::string& where) {
  const size_t rank = codes.shape.size();
  if (!is_code(codes) || rank > 2 || (zero_point && zero_point->type != codes.type))
    throw Error(
        ErrorCode::unsupported,
        fmt::format(
            "{}: the codes {} are {} {}{}, expected a matrix or vector of INT8, UINT8, INT4, UINT4 or "
            "INT32 with zero points of that type; give an export in float32",
            where, printable(codes.name), codes.type, to_string(codes.shape),
            zero_point ? fmt::format(" with zero points {}", zero_point->type) : ""));
  if (axis < 0) axis += static_cast<int64_t>(rank);
  const int64_t rows = rank == 2 ? codes.shape[0] : 1, columns = rank == 0 ? 1 : codes.shape[rank - 1];
  const bool of_rows = rank == 2 && axis == 0;
  OnnxScales scales{.scale = &scale,
                    .zero_point = zero_point,
                    .bits = codes.bits,
                    .is_signed = has_sign(codes),
                    .code_stride = columns};
  // A block of no rows or columns would be one of none.
  if (elements_of(scale) == 1) {
    scales.row_block = std::max<int64_t>(rows, 1);
    scales.column_block = std::max<int64_t>(columns, 1);
  } else if (of_rows) {
    scales.row_block = std::max<int64_t>(block, 1);
    scales.column_block = block > 0 ? 1 : std::max<int64_t>(columns, 1);
  } else {
    scales.row_block = block > 0 ? 1 : std::max<int64_t>(rows, 1);
    scales.column_block = std::max<int64_t>(block, 1);
  }
  scales.row_of_blocks = scales.zero_stride = ceil_divide(columns, scales.column_block);
  check_sizes(codes, scales, rows, columns, where);
  return {.values = &codes, .scales = scales, .shape = codes.shape};
}

OnnxConstant dequantized_blocks(const OnnxTensor& codes, const OnnxTensor& scale,
                                const OnnxTensor* zero_point, const OnnxBlocks& blocks,
                                const std::string& where) {
  constexpr int64_t kMost = int64_t{1} << 40;  // rows, columns, and columns of a block
  if ((blocks.bits != 2 && blocks.bits != 4 && blocks.bits != 8) || blocks.block <= 0 ||
      blocks.block > kMost || blocks.rows <= 0 || blocks.rows > kMost || blocks.columns <= 0 ||
      blocks.columns > kMost)
    contradicts(where, codes,
                fmt::format("{} bits, blocks of {} and the shape [{}, {}]", blocks.bits, blocks.block,
                            blocks.rows, blocks.columns));
  const int64_t in_row = ceil_divide(blocks.columns, blocks.block), per_byte = 8 / blocks.bits;
  const OnnxScales scales{.scale = &scale,
                          .zero_point = zero_point,
                          .zero = blocks.zero,
                          .row_block = 1,
                          .column_block = blocks.block,
                          .row_of_blocks = in_row,
                          .bits = static_cast<int>(blocks.bits),
                          .is_signed = blocks.is_signed,
                          .code_stride = blocks.whole_blocks ? in_row * blocks.block : blocks.columns,
                          .zero_stride = ceil_divide(in_row, per_byte) * per_byte};
  check_sizes(codes, scales, blocks.rows, blocks.columns, where);
  return {.values = &codes, .scales = scales, .shape = {blocks.rows, blocks.columns}};
}

}  // namespace mlxe
