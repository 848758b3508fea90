// Matrices of one call, in buffers that the next call uses again.
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

// 64-byte aligned floats, not initialised, with room to read a tile's width (kernels/table.h) past the last.
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

// Counts as a user of its buffer; null after default construction.
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

// What activations become where they meet packed weights: nothing else (float32), bfloat16, or 8-bit codes of
// which `group` columns share a scale.
struct OperandForm {
  Activations kind = Activations::float32;
  int group = 0;
};

// A float matrix, its form as an operand of matrix products (kernels/int8_table.h, kernels/bf16_table.h), or
// both, in buffers of an Arena; the last copy gives them back. Copies share the values and belong to one
// thread (what they point at may be filled by many).
class Tensor {
 public:
  int64_t rows() const noexcept { return rows_; }
  int64_t columns() const noexcept { return columns_; }

  int64_t stride() const noexcept { return stride_; }  // floats from a row to the next
  float* row(int64_t i) const noexcept { return values_.data() + i * stride_; }

  bool has_operand() const noexcept { return static_cast<bool>(operand_); }
  // As 8-bit codes, and what is known of the groups of a row.
  int8_t* codes(int64_t row) const noexcept {
    return reinterpret_cast<int8_t*>(operand_.data()) + row * operand_stride_;
  }
  int64_t codes_stride() const noexcept { return operand_stride_; }
  // Those of a row from the one on that begins at column `k`.
  Int8Groups groups(int64_t row, int64_t k) const noexcept {
    const int64_t count = operand_groups(), g = k / group_;
    float* scales = operand_.data() + rows_ * operand_stride_ / static_cast<int64_t>(sizeof(float)) +
                    row * group_stride();
    return {scales + g, reinterpret_cast<int32_t*>(scales + count) + g,
            reinterpret_cast<uint16_t*>(scales + 2 * count) + g};
  }
  // Four bytes each for a group's scale and start, two for its term.
  int64_t group_stride() const noexcept { return 2 * operand_groups() + (operand_groups() + 1) / 2; }
  // Rows from `row` on, columns from `k` on, a multiple of two groups.
  Int8Rows int8_rows(int64_t row, int64_t k) const noexcept {
    const Int8Groups g = groups(row, k);
    return {codes(row) + k, operand_stride_, g.scales, g.starts, g.terms, group_stride()};
  }
  // As bfloat16.
  uint16_t* bf16(int64_t row) const noexcept {
    return reinterpret_cast<uint16_t*>(operand_.data()) + row * bf16_stride();
  }
  int64_t bf16_stride() const noexcept { return operand_stride_ / 2; }

 private:
  friend class Arena;
  int64_t operand_groups() const noexcept { return up_to_multiple(columns_, kInt8Alignment) / group_; }
  BufferRef values_, operand_;
  int64_t rows_ = 0, columns_ = 0, stride_ = 0;
  int64_t operand_stride_ = 0;  // bytes
  int group_ = 0;
};

// A call after warm-up finds its buffers here and allocates nothing. One thread at a time; outlives its
// tensors.
class Arena {
 public:
  Tensor tensor(int64_t rows, int64_t columns);  // values not initialised
  // A tensor of an operand alone, not initialised.
  Tensor operand(int64_t rows, int64_t columns, OperandForm form);
  void add_operand(Tensor& tensor, OperandForm form);
  size_t bytes() const noexcept;  // of all buffers, in use or not
  void trim();                    // gives up those that no tensor uses

 private:
  Buffer* acquire(size_t floats);
  std::vector<std::unique_ptr<Buffer>> buffers_;
};

}  // namespace mlxe::cpu
