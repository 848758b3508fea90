// SHA-256 (FIPS 180-4).
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

struct MlxeSha256;

namespace mlxe {

// Hashes bytes as they come. Move-only; one thread at a time.
class Sha256 {
 public:
  Sha256();

  void update(std::span<const std::byte> bytes);
  std::array<std::byte, 32> finish();  // the hash so far; then starts a new one
  std::string finish_hex();            // the same as 64 lower-case hex digits

 private:
  struct Free {
    void operator()(MlxeSha256* hash) const noexcept;
  };
  std::unique_ptr<MlxeSha256, Free> hash_;
};

std::string sha256_hex(std::span<const std::byte> bytes);

// Of a whole file, read in pieces. Errors: not_found, io.
std::string sha256_hex(const std::filesystem::path& file);

}  // namespace mlxe
