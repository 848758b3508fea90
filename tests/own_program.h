// For tests that need a process of their own, with other environment variables.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace mlxe::test {

#ifdef __linux__
// The shell command that starts this test program; under an emulator, with the command in MLXE_TEST_EMULATOR.
inline std::string own_program() {
  const char* emulator = std::getenv("MLXE_TEST_EMULATOR");
  const std::string self = "'" + std::filesystem::read_symlink("/proc/self/exe").string() + "'";
  return emulator == nullptr ? self : emulator + (" " + self);
}
#endif

}  // namespace mlxe::test
