// Temporary files without a name: bytes that are written once and then read back.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace mlxe {

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

 private:
  int fd_ = -1;
  long long read_ = 0;
};

}  // namespace mlxe
