// A file mapped read-only into memory.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace mlxe {

// Move-only; the span lives as long as the object. Errors: not_found (no such file), io (can't open or map,
// not a regular file). Reading bytes that the file lost after it was opened raises SIGBUS, as with every
// mapped file: the program ends with a sentence then (cli/last_words.h), a caller of the library decides
// itself.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  // Gives the pages that lie wholly inside `range` back to the system; they are read again when touched.
  void release(std::span<const std::byte> range) const noexcept;

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// MappedFile::release for a range known to lie in one, by whoever does not have it.
void release_mapped(std::span<const std::byte> range) noexcept;

}  // namespace mlxe
