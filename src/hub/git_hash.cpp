#include "hub/git_hash.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "base/mapped_file.h"

namespace mlxe {

void Sha1::take_block(const std::byte* block) {
  std::array<uint32_t, 80> w;
  for (size_t i = 0; i < 16; ++i) {
    w[i] = 0;
    for (size_t j = 0; j < 4; ++j) w[i] = w[i] << 8 | std::to_integer<uint32_t>(block[4 * i + j]);
  }
  for (size_t i = 16; i < 80; ++i) w[i] = std::rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
  auto [a, b, c, d, e] = state_;
  for (size_t i = 0; i < 80; ++i) {
    const uint32_t f = i < 20   ? ((b & c) | (~b & d)) + 0x5A827999
                       : i < 40 ? (b ^ c ^ d) + 0x6ED9EBA1
                       : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDC
                                : (b ^ c ^ d) + 0xCA62C1D6;
    const uint32_t next = std::rotl(a, 5) + f + e + w[i];
    e = d, d = c, c = std::rotl(b, 30), b = a, a = next;
  }
  state_ = {state_[0] + a, state_[1] + b, state_[2] + c, state_[3] + d, state_[4] + e};
}

void Sha1::update(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const size_t at = size_ % block_.size(), n = std::min(block_.size() - at, bytes.size());
    std::copy_n(bytes.begin(), n, block_.begin() + static_cast<ptrdiff_t>(at));
    size_ += n;
    bytes = bytes.subspan(n);
    if (at + n == block_.size()) take_block(block_.data());
  }
}

std::string Sha1::finish_hex() {
  const uint64_t bits = 8 * size_;
  constexpr std::byte kEnd{0x80}, kZero{0};
  update({&kEnd, 1});
  while (size_ % 64 != 56) update({&kZero, 1});
  std::array<std::byte, 8> length;
  for (size_t i = 0; i < 8; ++i) length[i] = static_cast<std::byte>(bits >> (56 - 8 * i));
  update(length);
  std::string text;
  for (const uint32_t word : state_) text += fmt::format("{:08x}", word);
  return text;
}

std::string git_blob_hash(const std::filesystem::path& file) {
  const MappedFile mapped(file);
  std::string header = fmt::format("blob {}", mapped.bytes().size());
  header += '\0';
  Sha1 hash;
  hash.update(std::as_bytes(std::span(header.data(), header.size())));
  hash.update(mapped.bytes());
  return hash.finish_hex();
}

}  // namespace mlxe
