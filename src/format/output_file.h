// A file written front to back that either is complete on the device or is gone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace mlxe {

class OutputFile {
 public:
  // Creates the file, replacing one that is there. `size`: its bytes when finished, checked against the free
  // space first and named when the disk fills up. Errors: io.
  OutputFile(std::filesystem::path path, uint64_t size);
  // Removes the file unless finish() succeeded.
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  const std::filesystem::path& path() const noexcept { return path_; }
  void write(std::span<const std::byte> bytes);
  // Flushes to the device and closes. Errors: internal (not `size` bytes were written), io.
  void finish();

 private:
  void write_through(const std::byte* data, size_t size);

  std::filesystem::path path_;
  uint64_t size_ = 0;
  uint64_t written_ = 0;
  std::vector<std::byte> buffer_;
  int fd_ = -1;
};

}  // namespace mlxe
