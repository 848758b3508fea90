#include "bench/machine.h"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>
#ifdef __APPLE__
#include <sys/sysctl.h>
#endif

#include <cstdlib>
#include <ctime>
#include <fstream>

#include "base/thread_pool.h"

namespace mlxe {
namespace {

std::string processor(const char* machine) {
#ifdef __APPLE__
  char brand[256];
  size_t size = sizeof brand;
  if (::sysctlbyname("machdep.cpu.brand_string", brand, &size, nullptr, 0) == 0) return brand;
#else
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name"))
      if (const size_t colon = line.find(": "); colon != std::string::npos) return line.substr(colon + 2);
#endif
  return machine;
}

}  // namespace

std::string describe_machine() {
  utsname system{};
  ::uname(&system);
  const double bytes =
      static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  double load = 0;  // of the last minute: times measured on a busy machine say little
  ::getloadavg(&load, 1);
  return fmt::format("{}, {} cores, {:.0f} GiB, {} {} {}, load {:.1f}", processor(system.machine),
                     available_cores(), bytes / (1 << 30), system.sysname, system.release, system.machine,
                     load);
}

std::string utc_date() {
  const std::time_t now = std::time(nullptr);
  char date[32];
  return {date, std::strftime(date, sizeof date, "%Y-%m-%d", std::gmtime(&now))};
}

}  // namespace mlxe
