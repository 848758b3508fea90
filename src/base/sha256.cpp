#include "base/sha256.h"

#include <algorithm>

#include "base/mapped_file.h"
#include "mlx_encoder/error.h"
#include "rust/mlxe_rust.h"

namespace mlxe {

void Sha256::Free::operator()(MlxeSha256* hash) const noexcept {
  mlxe_sha256_free(hash);
}

Sha256::Sha256() : hash_(mlxe_sha256_new()) {
  if (hash_ == nullptr) throw Error(ErrorCode::internal, "sha256: out of memory");
}

void Sha256::update(std::span<const std::byte> bytes) {
  mlxe_sha256_update(hash_.get(), reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

std::array<std::byte, 32> Sha256::finish() {
  std::array<std::byte, 32> digest;
  mlxe_sha256_finish(hash_.get(), reinterpret_cast<uint8_t*>(digest.data()));
  return digest;
}

std::string Sha256::finish_hex() {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : finish()) {
    text += kDigits[std::to_integer<unsigned>(byte >> 4)];
    text += kDigits[std::to_integer<unsigned>(byte & std::byte{15})];
  }
  return text;
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish_hex();
}

std::string sha256_hex(const std::filesystem::path& file) {
  constexpr size_t kPiece = size_t{4} << 20;  // hashed pages are released: memory stays small
  const MappedFile mapped(file);
  Sha256 hash;
  for (size_t at = 0; at < mapped.bytes().size(); at += kPiece) {
    const auto piece = mapped.bytes().subspan(at, std::min(kPiece, mapped.bytes().size() - at));
    hash.update(piece);
    mapped.release(piece);
  }
  return hash.finish_hex();
}

}  // namespace mlxe
