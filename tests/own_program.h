// For tests that need a process of their own, with other environment variables.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace mlxe::test {

#ifdef __linux__
// This test program as a shell command; under an emulator through MLXE_TEST_EMULATOR, the emulator's command.
inline std::string own_program() {
  const char* emulator = std::getenv("MLXE_TEST_EMULATOR");
  const std::string self = "'" + std::filesystem::read_symlink("/proc/self/exe").string() + "'";
  return emulator == nullptr ? self : emulator + (" " + self);
}
#endif

}  // namespace mlxe::test
