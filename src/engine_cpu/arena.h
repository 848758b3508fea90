// The matrices of one call, in buffers that the next call reuses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/int8_table.h"
#include "mlx_encoder/engine.h"

namespace mlxe::cpu {

inline int64_t up_to_multiple(int64_t n, int64_t of) {
  return (n + of - 1) / of * of;
}

// 64-byte aligned floats, not initialised. Kernels may read one tile's width (kernels/table.h) past the end.
class Buffer {
 public:
  explicit Buffer(size_t capacity);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  float* data() const noexcept { return data_; }
  size_t capacity() const noexcept { return capacity_; }

 private:
  friend class BufferRef;
  float* data_;
  size_t capacity_;
  int users_ = 0;
  friend class Arena;
};

// A counted reference to a buffer. Null after default construction.
class BufferRef {
 public:
  BufferRef() = default;
  explicit BufferRef(Buffer* buffer) noexcept : buffer_(buffer) {
    if (buffer_) ++buffer_->users_;
  }
  BufferRef(const BufferRef& other) noexcept : BufferRef(other.buffer_) {}
  BufferRef(BufferRef&& other) noexcept : buffer_(std::exchange(other.buffer_, nullptr)) {}
  BufferRef& operator=(BufferRef other) noexcept {
    std::swap(buffer_, other.buffer_);
    return *this;
  }
  ~BufferRef() {
    if (buffer_) --buffer_->users_;
  }

  explicit operator bool() const noexcept { return buffer_ != nullptr; }
  float* data() const noexcept { return buffer_->data(); }

 private:
  Buffer* buffer_ = nullptr;
};

// The format of activations for products with packed weights: float32 (not converted), bfloat16, or 8-bit
// codes with a scale for each `group` columns.
struct ActivationFormat {
  Activations kind = Activations::float32;
  int group = 0;
};

// A matrix of activations, in buffers of an Arena: as floats, as an operand of matrix products (8-bit codes
// or bfloat16; kernels/int8_table.h, kernels/bf16_table.h), or both. Copies share the values; the last copy
// returns the buffers. All copies belong to one thread, but many threads may write the values. A borrowed tensor has no
// share in them.
class Tensor {
 public:
  int64_t rows() const noexcept { return rows_; }
  int64_t columns() const noexcept { return columns_; }

  int64_t stride() const noexcept { return stride_; }  // row stride in floats
  float* row(int64_t i) const noexcept { return first_row_ + i * stride_; }
  // The same floats, for any thread, while this tensor exists.
  Tensor borrowed() const {
    Tensor t;
    t.first_row_ = first_row_, t.rows_ = rows_, t.columns_ = columns_, t.stride_ = stride_;
    return t;
  }

  bool has_operand() const noexcept { return static_cast<bool>(operand_); }
  // The operand as 8-bit codes.
  int8_t* codes(int64_t row) const noexcept {
    return reinterpret_cast<int8_t*>(operand_.data()) + row * operand_stride_;
  }
  int64_t codes_stride() const noexcept { return operand_stride_; }
  // Scales, accumulator start values and bias terms of a row, from the group that begins at column `k` on.
  Int8Groups groups(int64_t row, int64_t k) const noexcept {
    const int64_t count = operand_groups(), g = k / group_;
    float* scales = operand_.data() + rows_ * operand_stride_ / static_cast<int64_t>(sizeof(float)) +
                    row * group_stride();
    return {scales + g, reinterpret_cast<int32_t*>(scales + count) + g,
            reinterpret_cast<uint16_t*>(scales + 2 * count) + g};
  }
  // Row stride of the groups, in units of 4 bytes. A group has 4 bytes for its scale, 4 for its accumulator
  // start value, 2 for its bias term.
  int64_t group_stride() const noexcept { return 2 * operand_groups() + (operand_groups() + 1) / 2; }
  // The rows from `row` on and the columns from `k` on. `k` is a multiple of two groups.
  Int8Rows int8_rows(int64_t row, int64_t k) const noexcept {
    const Int8Groups g = groups(row, k);
    return {codes(row) + k, operand_stride_, g.scales, g.accumulator_start, g.bias_terms, group_stride()};
  }
  // The operand as bfloat16.
  uint16_t* bf16(int64_t row) const noexcept {
    return reinterpret_cast<uint16_t*>(operand_.data()) + row * bf16_stride();
  }
  int64_t bf16_stride() const noexcept { return operand_stride_ / 2; }

 private:
  friend class Arena;
  int64_t operand_groups() const noexcept { return up_to_multiple(columns_, kInt8Alignment) / group_; }
  BufferRef values_, operand_;
  float* first_row_ = nullptr;
  int64_t rows_ = 0, columns_ = 0, stride_ = 0;
  int64_t operand_stride_ = 0;  // bytes
  int group_ = 0;
};

// Keeps buffers between calls: after warm-up a call allocates nothing. Used by one thread at a time. Must
// outlive its tensors.
class Arena {
 public:
  Tensor tensor(int64_t rows, int64_t columns);  // floats, not initialised
  // A tensor with only an operand, not initialised.
  Tensor operand(int64_t rows, int64_t columns, ActivationFormat format);
  void add_operand(Tensor& tensor, ActivationFormat format);
  size_t bytes() const noexcept;  // of all buffers, in use or not
  void trim();                    // frees the buffers that no tensor uses

 private:
  Buffer* acquire(size_t floats);
  std::vector<std::unique_ptr<Buffer>> buffers_;
};

}  // namespace mlxe::cpu
