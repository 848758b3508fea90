#include "base/sha256.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "mlx_encoder/error.h"

namespace mlxe::sha256_test {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// The examples of FIPS 180-4 and its NIST companion.
constexpr const char* kEmpty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr const char* kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr const char* kMillionA = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

TEST(Sha256, equals_the_standards_examples) {
  EXPECT_EQ(sha256_hex(bytes_of("")), kEmpty);
  EXPECT_EQ(sha256_hex(bytes_of("abc")), kAbc);
  EXPECT_EQ(sha256_hex(bytes_of(std::string(1000000, 'a'))), kMillionA);
}

TEST(Sha256, one_changed_bit_changes_the_digest) {
  EXPECT_NE(sha256_hex(bytes_of("abb")), kAbc);
}

TEST(Sha256, pieces_give_the_digest_of_the_whole_and_finish_starts_anew) {
  Sha256 hash;
  for (int i = 0; i < 1000; ++i) hash.update(bytes_of(std::string(1000, 'a')));
  EXPECT_EQ(hash.finish_hex(), kMillionA);
  EXPECT_EQ(hash.finish_hex(), kEmpty);
}

TEST(Sha256, of_a_file) {
  const auto file = std::filesystem::temp_directory_path() / "mlxe_sha256_test.bin";
  std::ofstream(file, std::ios::binary) << std::string(9000000, 'a');  // more than two pieces
  EXPECT_EQ(sha256_hex(file), sha256_hex(bytes_of(std::string(9000000, 'a'))));
  std::filesystem::remove(file);
  try {
    sha256_hex(file);
    FAIL() << "a missing file was hashed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::not_found);
  }
}

}  // namespace
}  // namespace mlxe::sha256_test
