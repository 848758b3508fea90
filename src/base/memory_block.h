// One large piece of memory that is used as long as its owner lives.
#pragma once

#include <cstddef>
#include <utility>

namespace mlxe {

// Zeroed, 64-byte aligned at least, in pages of 2 MiB where the system has them to give: reading many
// megabytes in 4 KiB pages spends its time looking pages up. Only touched pages take memory. Throws io when
// there is none left.
class MemoryBlock {
 public:
  MemoryBlock() = default;
  explicit MemoryBlock(size_t bytes);
  MemoryBlock(MemoryBlock&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  MemoryBlock& operator=(MemoryBlock&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~MemoryBlock();

  std::byte* data() const noexcept { return data_; }
  size_t bytes() const noexcept { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace mlxe
