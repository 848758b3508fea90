#include "engine_cpu/packed_weight.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/half.h"
#include "engine_cpu/arena.h"
#include "engine_cpu/stored_rows.h"
#include "kernels/quantize_table.h"

namespace mlxe::cpu {
namespace {

constexpr int kHighestGroup = 64;

// Codes 0..7 of e2m1 are 0, 0.5, 1, 1.5, 2, 3, 4, 6, codes 8..15 their negatives. Twice these values are
// whole numbers.
constexpr std::array<int, 16> kTwiceE2m1{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

bool is_e2m1(Mode mode) {
  return mode == Mode::mxfp4 || mode == Mode::nvfp4;
}

}  // namespace

int code_group(const Scheme& scheme) noexcept {
  switch (scheme.mode) {
    case Mode::affine:
    case Mode::mxfp4:
    case Mode::nvfp4:
      return std::min(scheme.group_size, kHighestGroup);
    case Mode::int8:
      return kHighestGroup;
    default:
      return 0;
  }
}

PackedWeight::PackedWeight(const StoredWeight& stored, int group, Activations activations)
    : stored_(stored),
      rows_(stored.shape[0]),
      columns_(up_to_multiple(stored.shape[1], kInt8Alignment)),
      group_(group),
      int8_(activations == Activations::int8),
      int4_(stored.scheme.bits <= 4 && stored.scheme.mode != Mode::int8) {
  for (size_t i = 0; i < 16; ++i)
    table_[i] = static_cast<uint8_t>(is_e2m1(stored.scheme.mode) ? kInt8ZeroPoint + kTwiceE2m1[i]
                                                                 : 16 * static_cast<int>(i));
}

// Number of bits by which codes are shifted left, so that their middle code becomes kInt8ZeroPoint. Affine
// codes of up to 4 bits are shifted to the upper nibbles of bytes.
int PackedWeight::shift() const noexcept {
  return int4_ && stored_.scheme.mode == Mode::affine ? 8 - stored_.scheme.bits : 0;
}

size_t PackedWeight::bytes() const noexcept {
  const auto bytes =
      static_cast<size_t>(code_bytes() + scale_count() * static_cast<int64_t>(sizeof(float)) + bias_bytes());
  return (bytes + 63) / 64 * 64;
}

void PackedWeight::place(std::byte* memory) noexcept {
  codes_ = reinterpret_cast<uint8_t*>(memory);
  scales_ = reinterpret_cast<float*>(memory + code_bytes());
}

void PackedWeight::fill(int64_t panel) {
  group_ == 0 ? fill_bf16(panel) : fill_codes(panel);
}

void PackedWeight::fill_bf16(int64_t panel) {
  auto* out = reinterpret_cast<uint16_t*>(codes_) + panel * columns_ * kBf16Panel;
  std::fill_n(out, columns_ * kBf16Panel, uint16_t{0});
  std::vector<float> row(static_cast<size_t>(columns_));
  const int64_t first = panel * kBf16Panel, count = std::min<int64_t>(kBf16Panel, rows_ - first);
  for (int64_t n = 0; n < count; ++n) {
    decode_row(stored_, first + n, 0, stored_.shape[1], row.data());
    for (int64_t k = 0; k < stored_.shape[1]; ++k)
      out[bf16_index(k, n)] = float_to_bf16(row[static_cast<size_t>(k)]);
  }
}

void PackedWeight::fill_codes(int64_t panel) {
  const int64_t real = stored_.shape[1], quads = columns_ / 4;
  const int64_t first = panel * kInt8Panel, count = std::min<int64_t>(kInt8Panel, rows_ - first);
  const Mode mode = stored_.scheme.mode;
  const int bits = mode == Mode::int8 ? 8 : stored_.scheme.bits;
  const int middle =
      mode == Mode::affine ? 1 << (bits - 1) : 0;  // the stored code that becomes kInt8ZeroPoint
  const int64_t own_group = mode == Mode::int8 ? real : stored_.scheme.group_size;

  std::vector<uint32_t> row(static_cast<size_t>(quads));
  std::vector<uint32_t> whole(int4_ ? static_cast<size_t>(quads * kInt8Panel) : 0);
  auto* out = int4_ ? whole.data() : reinterpret_cast<uint32_t*>(codes_ + panel * columns_ * kInt8Panel);
  std::fill_n(out, quads * kInt8Panel, 0u);
  std::fill_n(scales(panel, 0), groups() * kInt8Panel, 0.0f);
  if (int8_)
    std::fill_n(pairs_of_biases(panel, 0), biases_of_a_panel(), uint16_t{0});
  else
    std::fill_n(biases(panel, 0), biases_of_a_panel(), 0.0f);
  std::vector<float> row_scales(static_cast<size_t>((real + own_group - 1) / own_group)),
      row_biases(row_scales.size());
  for (int64_t n = 0; n < count; ++n) {
    auto* codes = reinterpret_cast<uint8_t*>(row.data());
    const uint8_t* from = code_row(stored_, first + n);
    if (bits == 8)
      std::memcpy(codes, from, static_cast<size_t>(real));
    else
      quantize_kernels().unpack(from, static_cast<size_t>(real), bits, codes);
    if (int4_ && mode == Mode::affine) {  // shifted to a full nibble
      for (int64_t k = 0; k < real; ++k) codes[k] = static_cast<uint8_t>(codes[k] << (4 - bits));
    } else if (const int up = kInt8ZeroPoint - middle; !int4_ && up != 0) {
      for (int64_t k = 0; k < real; ++k) codes[k] = static_cast<uint8_t>(codes[k] + up);
    }
    std::fill(codes + real, codes + columns_, uint8_t{0});
    for (int64_t q = 0; q < quads; ++q) out[q * kInt8Panel + n] = row[static_cast<size_t>(q)];

    read_scales(stored_, first + n, 0, static_cast<int64_t>(row_scales.size()), row_scales.data(),
                row_biases.data());
    for (int64_t g = 0; g < (real + group_ - 1) / group_; ++g) {
      const auto own = static_cast<size_t>(g * group_ / own_group);
      float scale = row_scales[own], bias = row_biases[own];  // becomes the bias of the middle code
      if (mode == Mode::int8)                                 // (q - zero_point) * scale
        bias = -bias * scale;
      else if (mode == Mode::affine)
        bias = std::fma(static_cast<float>(middle), scale, bias), scale = std::ldexp(scale, -shift());
      else
        scale *= 0.5f, bias = 0;
      scales(panel, g)[n] = scale;
      if (int8_)
        pairs_of_biases(panel, g / 2 * 2)[2 * n + g % 2] = float_to_bf16(bias);
      else
        biases(panel, g)[n] = std::fma(-static_cast<float>(kInt8ZeroPoint), scale, bias);
    }
  }
  if (!int4_) return;
  const auto* in = reinterpret_cast<const uint8_t*>(whole.data());
  uint8_t* packed = codes_ + panel * columns_ * kInt8Panel / 2;
  for (int64_t q = 0; q < quads; ++q, in += 128, packed += 64)
    for (int i = 0; i < 64; ++i) packed[i] = static_cast<uint8_t>(in[i] | in[i + 64] << 4);
}

Int8Weights PackedWeight::int8_panel(const Int8Kernels& kernels, int64_t panel, int64_t first, int64_t count,
                                     uint8_t* expanded) const {
  const int64_t at = (panel * columns_ + first) * kInt8Panel;
  if (int4_) kernels.expand(codes_ + at / 2, count * kInt8Panel, table_.data(), expanded);
  return {int4_ ? expanded : codes_ + at, scales(panel, first / group_),
          pairs_of_biases(panel, first / group_)};
}

void PackedWeight::read_bf16(const Bf16Kernels& kernels, int64_t panel, int64_t first, int64_t count,
                             uint16_t* out) const {
  const int64_t at = (panel * columns_ + first) * kBf16Panel;
  if (group_ == 0)
    std::copy_n(reinterpret_cast<const uint16_t*>(codes_) + at, count * kBf16Panel, out);
  else
    kernels.decode(
        {codes_ + (int4_ ? at / 2 : at), scales(panel, first / group_), biases(panel, first / group_)},
        int4_ ? table_.data() : nullptr, count / group_, group_, out);
}

}  // namespace mlxe::cpu
