// Temporary files without a name: bytes that are written once and then read back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>

#include "base/mapped_file.h"

namespace mlxe {

// The folder for temporary files: TMPDIR, else /tmp. Errors: io (it is none).
std::filesystem::path temporary_folder();

// A new descriptor, open for reading and writing, of an empty file in the folder for temporary files. The file has no
// name, so it goes when the descriptor is closed, also if the process is killed. Returns -1 and sets errno if that
// fails.
int open_spool_file();

// Written from front to back, then read from front to back. Errors: io.
class SpoolFile {
 public:
  SpoolFile();
  ~SpoolFile();
  SpoolFile(const SpoolFile&) = delete;
  SpoolFile& operator=(const SpoolFile&) = delete;

  void write(std::span<const std::byte> bytes);
  // The next bytes, as many as `bytes` holds. Errors: internal (fewer were written).
  void read(std::span<std::byte> bytes);
  // Gives all that was not read yet, in pieces of at most 1 MiB.
  void read_all(const std::function<void(std::span<const std::byte>)>& take);
  // All that was written, which stays as long as the mapping. Errors: io.
  MappedFile map() const;

 private:
  int fd_ = -1;
  uint64_t written_ = 0, read_ = 0;
};

}  // namespace mlxe
