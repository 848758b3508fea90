// The name that git gives to a file's content: the ETag of a small file on the hub.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace mlxe {

// SHA-1 (FIPS 180-4). It tells damaged bytes apart; it is no protection against an attacker.
class Sha1 {
 public:
  void update(std::span<const std::byte> bytes);
  std::string finish_hex();  // 40 lower-case hex digits; call once

 private:
  void take_block(const std::byte* block);

  std::array<uint32_t, 5> state_ = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
  std::array<std::byte, 64> block_ = {};
  uint64_t size_ = 0;
};

// Of "blob SIZE\0" and the content. Errors: not_found, io.
std::string git_blob_hash(const std::filesystem::path& file);

}  // namespace mlxe
