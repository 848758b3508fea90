// NumPy's .npz format: a ZIP archive of .npy members, which are stored without compression.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/output_file.h"

namespace mlxe::cli {

// CRC-32 of ZIP (polynomial 0xEDB88320, reflected) of `bytes` after those that gave `crc`.
uint32_t crc32(std::span<const std::byte> bytes, uint32_t crc = 0);

// Writes members one after another. Until finish() an existing file is unchanged.
class NpzFile {
 public:
  // Most bytes of the archive: its offsets have 32 bits.
  static constexpr uint64_t kMostBytes = 0xffffffff;

  explicit NpzFile(const std::filesystem::path& path) : file_(path) {}

  // Begins the member `name` (without ".npy"). `type`: NumPy's, "<f4"; `shape`: a tuple, "(3,)".
  void begin(const std::string& name, const std::string& type, const std::string& shape);
  void write(std::span<const std::byte> bytes);  // of the member that was begun
  void finish();
  bool is_standard_output() const noexcept { return file_.is_standard_output(); }

 private:
  struct Member {
    std::string name;
    uint64_t offset = 0, bytes = 0;
    uint32_t crc = 0;
  };
  void put(std::string_view text);  // of the archive's own
  void end_member();
  // What a member's local header and its entry in the directory have in common.
  static std::string header(const Member& member, bool with_sizes);

  OutputFile file_;
  uint64_t written_ = 0;
  std::vector<Member> members_;
  bool open_ = false;
};

}  // namespace mlxe::cli
