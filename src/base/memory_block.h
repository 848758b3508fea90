// One large allocation that lives as long as its owner.
#pragma once

#include <cstddef>
#include <utility>

namespace mlxe {

// Zeroed, at least 64-byte aligned, in pages of 2 MiB if the system has them: reading many megabytes in 4 KiB
// pages costs time for address translation. Only touched pages take memory. Errors: io (out of memory).
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
