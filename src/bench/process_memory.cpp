#include "bench/process_memory.h"

#include <sys/resource.h>

#include <fstream>
#include <string>
#include <string_view>

namespace mlxe {
namespace {

// A line of /proc/self/status in bytes; 0 where there is no such file or line.
uint64_t status_bytes(std::string_view field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field)) return std::stoull(line.substr(field.size())) * 1024;
  return 0;
}

}  // namespace

// Not ru_maxrss on Linux: a process inherits it from the one that started it.
uint64_t peak_bytes() {
  if (const uint64_t peak = status_bytes("VmHWM:")) return peak;
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
#ifdef __APPLE__
  return static_cast<uint64_t>(usage.ru_maxrss);
#else
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
#endif
}

uint64_t resident_bytes() {
  const uint64_t now = status_bytes("VmRSS:");
  return now != 0 ? now : peak_bytes();
}

}  // namespace mlxe
