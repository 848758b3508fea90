// Matrices of one call, in buffers that the next call uses again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace mlxe::cpu {

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
  friend class Tensor;
  float* data_;
  size_t capacity_;
  int users_ = 0;
  friend class Arena;
};

// A float matrix in a buffer of an Arena; the last copy gives the buffer back. Copies share the values and
// belong to one thread (what they point at may be filled by many).
class Tensor {
 public:
  Tensor() = default;
  Tensor(const Tensor& other) noexcept
      : buffer_(other.buffer_), rows_(other.rows_), columns_(other.columns_), stride_(other.stride_) {
    if (buffer_) ++buffer_->users_;
  }
  Tensor(Tensor&& other) noexcept { swap(other); }
  Tensor& operator=(Tensor other) noexcept {
    swap(other);
    return *this;
  }
  ~Tensor() {
    if (buffer_) --buffer_->users_;
  }

  int64_t rows() const noexcept { return rows_; }
  int64_t columns() const noexcept { return columns_; }
  int64_t stride() const noexcept { return stride_; }  // floats from a row to the next
  float* row(int64_t i) const noexcept { return buffer_->data() + i * stride_; }

 private:
  friend class Arena;
  Tensor(Buffer* buffer, int64_t rows, int64_t columns, int64_t stride)
      : buffer_(buffer), rows_(rows), columns_(columns), stride_(stride) {
    ++buffer_->users_;
  }
  void swap(Tensor& other) noexcept {
    std::swap(buffer_, other.buffer_);
    std::swap(rows_, other.rows_);
    std::swap(columns_, other.columns_);
    std::swap(stride_, other.stride_);
  }

  Buffer* buffer_ = nullptr;
  int64_t rows_ = 0, columns_ = 0, stride_ = 0;
};

// A call after warm-up finds its buffers here and allocates nothing. One thread at a time; outlives its
// tensors.
class Arena {
 public:
  Tensor tensor(int64_t rows, int64_t columns);  // values not initialised
  size_t bytes() const noexcept;                 // of all buffers, in use or not

 private:
  Buffer* acquire(size_t floats);
  std::vector<std::unique_ptr<Buffer>> buffers_;
};

}  // namespace mlxe::cpu
