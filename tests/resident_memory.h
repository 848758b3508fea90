// Memory of this process, for tests that watch it.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <fstream>

namespace mlxe::test {

// Bytes of this process in RAM (Linux).
inline int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace mlxe::test
