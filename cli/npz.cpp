#include "npz.h"

#include <fmt/format.h>

#include <array>

#include "mlx_encoder/error.h"
#include "vectors/npy.h"

namespace mlxe::cli {
namespace {

constexpr auto kCrcTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c & 1) != 0 ? (c >> 1) ^ 0xEDB88320u : c >> 1;
    table[i] = c;
  }
  return table;
}();

// Little endian.
std::string number(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

constexpr int kVersion20 = 20;             // of the format: "2.0"
constexpr int kSizesFollow = 8;            // flag: CRC and sizes are in a record after the data
constexpr int kFirstOfJanuary1980 = 0x21;  // in MS-DOS's format, so that equal content gives equal bytes

}  // namespace

uint32_t crc32(std::span<const std::byte> bytes, uint32_t crc) {
  crc = ~crc;
  for (const std::byte b : bytes) crc = kCrcTable[(crc ^ static_cast<uint8_t>(b)) & 0xff] ^ (crc >> 8);
  return ~crc;
}

void NpzFile::put(std::string_view text) {
  file_.write(text);
  written_ += text.size();
  if (written_ > kMostBytes)
    throw Error(ErrorCode::usage,
                fmt::format("{}: more than 4 GiB, the limit of a .npz file; write a .safetensors file",
                            file_.path().string()));
}

std::string NpzFile::header(const Member& m, bool with_sizes) {
  return number(kVersion20, 2) + number(kSizesFollow, 2) + number(0, 2) + number(0, 2) +
         number(kFirstOfJanuary1980, 2) + number(with_sizes ? m.crc : 0, 4) +
         number(with_sizes ? m.bytes : 0, 4) + number(with_sizes ? m.bytes : 0, 4) + number(m.name.size(), 2);
}

void NpzFile::begin(const std::string& name, const std::string& type, const std::string& shape) {
  end_member();
  Member& m = members_.emplace_back(Member{.name = name + ".npy", .offset = written_, .bytes = 0, .crc = 0});
  put("PK\x03\x04" + header(m, false) + number(0, 2) + m.name);
  open_ = true;
  const std::string start = npy_header(type, shape);
  write(std::as_bytes(std::span(start.data(), start.size())));
}

void NpzFile::write(std::span<const std::byte> bytes) {
  Member& m = members_.back();
  m.crc = crc32(bytes, m.crc);
  m.bytes += bytes.size();
  put(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

void NpzFile::end_member() {
  if (!open_) return;
  const Member& m = members_.back();
  put("PK\x07\x08" + number(m.crc, 4) + number(m.bytes, 4) + number(m.bytes, 4));
  open_ = false;
}

void NpzFile::finish() {
  end_member();
  const uint64_t directory = written_;
  for (const Member& m : members_)
    put("PK\x01\x02" + number(kVersion20, 2) + header(m, true) + number(0, 2) + number(0, 2) + number(0, 2) +
        number(0, 2) + number(0, 4) + number(m.offset, 4) + m.name);
  const uint64_t size = written_ - directory;
  put("PK\x05\x06" + number(0, 2) + number(0, 2) + number(members_.size(), 2) + number(members_.size(), 2) +
      number(size, 4) + number(directory, 4) + number(0, 2));
  file_.finish();
}

}  // namespace mlxe::cli
