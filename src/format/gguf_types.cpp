// The layouts are those of ggml's block_q4_0, ..., block_iq4_xs. Each product and sum is rounded to float32 in the order
// written here, which is gguf-py's.
#include "format/gguf_types.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/half.h"

namespace mlxe {
namespace {

constexpr int kSmall = 32, kLarge = 256;  // elements of a block

uint8_t byte_at(const std::byte* p, int i) {
  return std::to_integer<uint8_t>(p[i]);
}
int8_t signed_at(const std::byte* p, int i) {
  return static_cast<int8_t>(byte_at(p, i));
}
float half_at(const std::byte* p) {
  uint16_t bits = 0;
  std::memcpy(&bits, p, sizeof bits);
  return f16_to_float(bits);
}
// Element i of a small block of four-bit codes: the lower halves of 16 bytes, then the upper ones.
int nibble(const std::byte* codes, int i) {
  return i < 16 ? byte_at(codes, i) & 15 : byte_at(codes, i - 16) >> 4;
}
// The fifth bit of element i.
int high_bit(const std::byte* bits, int i) {
  return byte_at(bits, i / 8) >> (i % 8) & 1;
}

void decode_q4_0(const std::byte* p, float* out) {
  const float d = half_at(p);
  for (int i = 0; i < kSmall; ++i) out[i] = d * static_cast<float>(nibble(p + 2, i) - 8);
}

void decode_q4_1(const std::byte* p, float* out) {
  const float d = half_at(p), m = half_at(p + 2);
  for (int i = 0; i < kSmall; ++i) out[i] = d * static_cast<float>(nibble(p + 4, i)) + m;
}

void decode_q5_0(const std::byte* p, float* out) {
  const float d = half_at(p);
  for (int i = 0; i < kSmall; ++i)
    out[i] = d * static_cast<float>((nibble(p + 6, i) | high_bit(p + 2, i) << 4) - 16);
}

void decode_q5_1(const std::byte* p, float* out) {
  const float d = half_at(p), m = half_at(p + 2);
  for (int i = 0; i < kSmall; ++i)
    out[i] = d * static_cast<float>(nibble(p + 8, i) | high_bit(p + 4, i) << 4) + m;
}

void decode_q8_0(const std::byte* p, float* out) {
  const float d = half_at(p);
  for (int i = 0; i < kSmall; ++i) out[i] = static_cast<float>(signed_at(p + 2, i)) * d;
}

// Element i of a large block of two-bit codes: 32 bytes hold elements 0 to 127, by 32 from the lowest bits up.
int two_bits(const std::byte* codes, int i) {
  return byte_at(codes, i / 128 * 32 + i % 32) >> (i % 128 / 32 * 2) & 3;
}

// 16 scales and minima of four bits, 64 bytes of codes, the scale and the minimum of both.
void decode_q2_k(const std::byte* p, float* out) {
  const float d = half_at(p + 80), dmin = half_at(p + 82);
  for (int group = 0; group < 16; ++group) {
    const float scale = d * static_cast<float>(byte_at(p, group) & 15),
                minimum = dmin * static_cast<float>(byte_at(p, group) >> 4);
    for (int i = 16 * group; i < 16 * group + 16; ++i)
      out[i] = scale * static_cast<float>(two_bits(p + 16, i)) - minimum;
  }
}

// 32 bytes of third bits, 64 bytes of codes, 16 scales of six bits in 12 bytes, their scale. A third bit of 0 means - 4.
void decode_q3_k(const std::byte* p, float* out) {
  const std::byte* scales = p + 96;
  const float d = half_at(p + 108);
  for (int group = 0; group < 16; ++group) {
    const int low = group < 8 ? byte_at(scales, group) & 15 : byte_at(scales, group - 8) >> 4;
    const int high = byte_at(scales, 8 + group % 4) >> (group / 4 * 2) & 3;
    const float scale = d * static_cast<float>((low | high << 4) - 32);
    for (int i = 16 * group; i < 16 * group + 16; ++i) {
      const int third = byte_at(p, i % 32) >> (i / 32) & 1;
      out[i] = scale * static_cast<float>(two_bits(p + 32, i) - (third ? 0 : 4));
    }
  }
}

// Scale and minimum number `group` of eight, of six bits each, in 12 bytes.
std::pair<int, int> scale_and_minimum(const std::byte* p, int group) {
  if (group < 4) return {byte_at(p, group) & 63, byte_at(p, group + 4) & 63};
  const int low = byte_at(p, group + 4), scale = byte_at(p, group - 4), minimum = byte_at(p, group);
  return {(low & 15) | (scale >> 6) << 4, low >> 4 | (minimum >> 6) << 4};
}

// Element i of a large block of four-bit codes: 32 bytes hold elements 0 to 63, the lower halves first.
int large_nibble(const std::byte* codes, int i) {
  return byte_at(codes, i / 64 * 32 + i % 32) >> (i % 64 / 32 * 4) & 15;
}

void decode_q4_k(const std::byte* p, float* out) {
  const float d = half_at(p), dmin = half_at(p + 2);
  for (int group = 0; group < 8; ++group) {
    const auto [s, m] = scale_and_minimum(p + 4, group);
    const float scale = d * static_cast<float>(s), minimum = dmin * static_cast<float>(m);
    for (int i = 32 * group; i < 32 * group + 32; ++i)
      out[i] = scale * static_cast<float>(large_nibble(p + 16, i)) - minimum;
  }
}

void decode_q5_k(const std::byte* p, float* out) {
  const float d = half_at(p), dmin = half_at(p + 2);
  for (int group = 0; group < 8; ++group) {
    const auto [s, m] = scale_and_minimum(p + 4, group);
    const float scale = d * static_cast<float>(s), minimum = dmin * static_cast<float>(m);
    for (int i = 32 * group; i < 32 * group + 32; ++i) {
      const int fifth = byte_at(p + 16, i % 32) >> group & 1;
      out[i] = scale * static_cast<float>(large_nibble(p + 48, i) | fifth << 4) - minimum;
    }
  }
}

// 128 bytes of four bits, 64 bytes of two more, 16 scales of eight bits, their scale.
void decode_q6_k(const std::byte* p, float* out) {
  const float d = half_at(p + 208);
  for (int i = 0; i < kLarge; ++i) {
    const int low = byte_at(p, i / 128 * 64 + i % 64) >> (i % 128 / 64 * 4) & 15;
    const int code = (low | two_bits(p + 128, i) << 4) - 32;
    const float scale = d * static_cast<float>(signed_at(p + 192, i / 16));
    out[i] = scale * static_cast<float>(code);
  }
}

constexpr std::array<float, 16> kNonLinear = {-127, -104, -83, -65, -49, -35, -22, -10,
                                              1,    13,   25,  38,  53,  69,  89,  113};

void decode_iq4_nl(const std::byte* p, float* out) {
  const float d = half_at(p);
  for (int i = 0; i < kSmall; ++i) out[i] = d * kNonLinear[static_cast<size_t>(nibble(p + 2, i))];
}

// A scale, two bits and then four bits of eight scales, codes as in eight small blocks.
void decode_iq4_xs(const std::byte* p, float* out) {
  const float d = half_at(p);
  for (int group = 0; group < 8; ++group) {
    const int high = byte_at(p + 2, group / 4) >> (group % 4 * 2) & 3;
    const int low = byte_at(p + 4, group / 2) >> (group % 2 * 4) & 15;
    const float scale = d * static_cast<float>((low | high << 4) - 32);
    for (int i = 0; i < 32; ++i)
      out[32 * group + i] = scale * kNonLinear[static_cast<size_t>(nibble(p + 8 + 16 * group, i))];
  }
}

constexpr GgufType kGgufTypes[] = {
    {0, "F32", 1, 4, Dtype::f32, nullptr},         {1, "F16", 1, 2, Dtype::f16, nullptr},
    {2, "Q4_0", kSmall, 18, {}, decode_q4_0},      {3, "Q4_1", kSmall, 20, {}, decode_q4_1},
    {6, "Q5_0", kSmall, 22, {}, decode_q5_0},      {7, "Q5_1", kSmall, 24, {}, decode_q5_1},
    {8, "Q8_0", kSmall, 34, {}, decode_q8_0},      {10, "Q2_K", kLarge, 84, {}, decode_q2_k},
    {11, "Q3_K", kLarge, 110, {}, decode_q3_k},    {12, "Q4_K", kLarge, 144, {}, decode_q4_k},
    {13, "Q5_K", kLarge, 176, {}, decode_q5_k},    {14, "Q6_K", kLarge, 210, {}, decode_q6_k},
    {20, "IQ4_NL", kSmall, 18, {}, decode_iq4_nl}, {23, "IQ4_XS", kLarge, 136, {}, decode_iq4_xs},
    {24, "I8", 1, 1, Dtype::i8, nullptr},          {25, "I16", 1, 2, Dtype::i16, nullptr},
    {26, "I32", 1, 4, Dtype::i32, nullptr},        {27, "I64", 1, 8, Dtype::i64, nullptr},
    {28, "F64", 1, 8, Dtype::f64, nullptr},        {30, "BF16", 1, 2, Dtype::bf16, nullptr},
};

// Types that are not read.
constexpr std::pair<uint32_t, const char*> kOtherTypes[] = {
    {9, "Q8_1"},   {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"},
    {19, "IQ1_S"}, {21, "IQ3_S"}, {22, "IQ2_S"},   {29, "IQ1_M"},  {34, "TQ1_0"},
    {35, "TQ2_0"}, {39, "MXFP4"}, {40, "NVFP4"},
};

}  // namespace

const GgufType* find_gguf_type(uint32_t number) noexcept {
  const auto* found = std::ranges::find(kGgufTypes, number, &GgufType::number);
  return found == std::end(kGgufTypes) ? nullptr : found;
}

std::string gguf_type_name(uint32_t number) {
  if (const GgufType* type = find_gguf_type(number)) return type->name;
  for (const auto& [other, name] : kOtherTypes)
    if (other == number) return name;
  return fmt::format("number {}", number);
}

void decode_gguf(const GgufType& type, std::span<const std::byte> data, float* out) {
  for (size_t at = 0; at < data.size(); at += type.bytes, out += type.block)
    type.decode(data.data() + at, out);
}

}  // namespace mlxe
