// A file mapped read-only into memory.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace mlxe {

// Move-only; the span lives as long as the object. Errors: not_found (no such file), io (can't open or map,
// not a regular file). If the file is truncated after it was opened, reading the lost bytes raises SIGBUS,
// as with every mapped file. The program then ends with an error message (cli/last_words.h); a library
// caller decides for itself.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  // Gives the pages that lie wholly inside `range` back to the system. They are read again on the next
  // access.
  void release(std::span<const std::byte> range) const noexcept;

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// MappedFile::release for callers without the MappedFile. `range` must lie in a mapping.
void release_mapped(std::span<const std::byte> range) noexcept;

}  // namespace mlxe
