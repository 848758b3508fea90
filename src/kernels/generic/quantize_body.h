// The vector form of quantize_table.h, over a wrapper `V` of one instruction set's registers.
//
// V has kLanes (4 to 16) floats. Everything here has internal linkage: the linker must never use a copy
// compiled for AVX-512 on an older processor. Codes are packed eight at a time in a 64-bit word. This works
// for every width: eight codes of b bits are exactly b bytes.
#pragma once

#include "kernels/quantize_table.h"

namespace mlxe {
namespace {

constexpr size_t kLargestLanes = 16;
constexpr size_t kChunk = 128;  // codes that are unpacked at a time

template <size_t bytes>
void copy(const void* from, void* to) {
  __builtin_memcpy(to, from, bytes);
}

float load_float(const float* in) {
  float value;
  copy<sizeof value>(in, &value);
  return value;
}

void store_float(float value, float* out) {
  copy<sizeof value>(&value, out);
}

// ---- packing: byte i of the word <-> bits [i*bits, (i+1)*bits)

template <int bits>
struct Lanes {  // masks of the codes after joining 1, 2 and 4 of them
  static constexpr uint64_t one = ((1ull << bits) - 1) * 0x0001000100010001ull;
  static constexpr uint64_t two = ((1ull << 2 * bits) - 1) * 0x0000000100000001ull;
  static constexpr uint64_t four = (1ull << 4 * bits) - 1;
};

template <int bits>
void pack(const uint8_t* codes, size_t n, uint8_t* out) {
  using M = Lanes<bits>;
  for (size_t i = 0; i < n; i += 8, out += bits) {
    uint64_t x;
    copy<8>(codes + i, &x);
    x = (x & M::one) | (x >> (8 - bits) & M::one << bits);
    x = (x & M::two) | (x >> (16 - 2 * bits) & M::two << 2 * bits);
    x = (x & M::four) | (x >> (32 - 4 * bits) & M::four << 4 * bits);
    copy<bits>(&x, out);
  }
}

template <int bits>
void unpack(const uint8_t* in, size_t n, uint8_t* codes) {
  using M = Lanes<bits>;
  for (size_t i = 0; i < n; i += 8, in += bits) {
    uint64_t x = 0;
    copy<bits>(in, &x);
    x = (x & M::four) | (x & M::four << 4 * bits) << (32 - 4 * bits);
    x = (x & M::two) | (x & M::two << 2 * bits) << (16 - 2 * bits);
    x = (x & M::one) | (x & M::one << bits) << (8 - bits);
    copy<8>(&x, codes + i);
  }
}

void pack(const uint8_t* codes, size_t n, int bits, uint8_t* out) {
  switch (bits) {
    case 1:
      return pack<1>(codes, n, out);
    case 2:
      return pack<2>(codes, n, out);
    case 3:
      return pack<3>(codes, n, out);
    case 4:
      return pack<4>(codes, n, out);
    case 5:
      return pack<5>(codes, n, out);
    case 6:
      return pack<6>(codes, n, out);
    case 7:
      return pack<7>(codes, n, out);
    default:
      return pack<8>(codes, n, out);
  }
}

void unpack(const uint8_t* in, size_t n, int bits, uint8_t* codes) {
  switch (bits) {
    case 1:
      return unpack<1>(in, n, codes);
    case 2:
      return unpack<2>(in, n, codes);
    case 3:
      return unpack<3>(in, n, codes);
    case 4:
      return unpack<4>(in, n, codes);
    case 5:
      return unpack<5>(in, n, codes);
    case 6:
      return unpack<6>(in, n, codes);
    case 7:
      return unpack<7>(in, n, codes);
    default:
      return unpack<8>(in, n, codes);
  }
}

// ---- the kernels

template <class V>
struct QuantizeBody {
  static constexpr size_t kLanes = V::kLanes;

  // op(in, out) converts kLanes values of In to Out. The last, incomplete block is copied to a full one
  // first.
  template <class In, class Out, class Op>
  static void map(const void* in, size_t n, void* out, Op op) {
    const auto* from = static_cast<const unsigned char*>(in);
    auto* to = static_cast<unsigned char*>(out);
    size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) op(from + i * sizeof(In), to + i * sizeof(Out));
    if (i == n) return;
    unsigned char block_in[kLargestLanes * sizeof(In)] = {}, block_out[kLargestLanes * sizeof(Out)];
    __builtin_memcpy(block_in, from + i * sizeof(In), (n - i) * sizeof(In));
    op(block_in, block_out);
    __builtin_memcpy(to + i * sizeof(Out), block_out, (n - i) * sizeof(Out));
  }

  static void f64_to_f32(const void* in, size_t n, void* out) {
    map<double, float>(in, n, out, [](const void* a, void* b) { V::store(V::load_f64(a), b); });
  }
  static void f16_to_f32(const void* in, size_t n, void* out) {
    map<uint16_t, float>(in, n, out, [](const void* a, void* b) { V::store(V::load_f16(a), b); });
  }
  static void bf16_to_f32(const void* in, size_t n, void* out) {
    map<uint16_t, float>(in, n, out, [](const void* a, void* b) {
      V::store(V::as_float(V::template shift_left<16>(V::load_u16(a))), b);
    });
  }
  static void f32_to_f16(const void* in, size_t n, void* out) {
    map<float, uint16_t>(in, n, out, [](const void* a, void* b) { V::store_f16(V::load(a), b); });
  }
  static void f32_to_bf16(const void* in, size_t n, void* out) {
    map<float, uint16_t>(in, n, out, [](const void* a, void* b) {
      const auto bits = V::as_int(V::load(a));
      const auto odd = V::bit_and(V::template shift_right<16>(bits), V::set(1));
      const auto rounded = V::add(bits, V::add(odd, V::set(0x7fff)));
      const auto quiet = V::bit_or(bits, V::set(0x400000));
      V::store_u16(V::template shift_right<16>(V::select_nan(V::as_float(bits), quiet, rounded)), b);
    });
  }

  static size_t find_not_finite(const float* in, size_t n) {
    size_t i = 0;
    for (; i + kLanes <= n; i += kLanes)
      if (const unsigned lanes = V::not_finite(V::load(in + i)))
        return i + static_cast<size_t>(__builtin_ctz(lanes));
    for (; i < n; ++i) {
      uint32_t bits;
      copy<4>(in + i, &bits);
      if ((bits & 0x7f800000u) == 0x7f800000u) return i;
    }
    return n;
  }

  static void min_max(const float* in, size_t groups, size_t group_size, float* low, float* high) {
    for (size_t g = 0; g < groups; ++g, in += group_size) {
      float least = load_float(in), most = least;
      size_t i = 0;
      if (group_size >= kLanes) {
        auto lows = V::load(in), highs = lows;
        for (i = kLanes; i + kLanes <= group_size; i += kLanes) {
          const auto values = V::load(in + i);
          lows = V::min(lows, values);
          highs = V::max(highs, values);
        }
        float lane_low[kLargestLanes], lane_high[kLargestLanes];
        V::store(lows, lane_low);
        V::store(highs, lane_high);
        for (size_t lane = 0; lane < kLanes; ++lane) {
          least = lane_low[lane] < least ? lane_low[lane] : least;
          most = lane_high[lane] > most ? lane_high[lane] : most;
        }
      }
      for (; i < group_size; ++i) {
        const float value = load_float(in + i);
        least = value < least ? value : least;
        most = value > most ? value : most;
      }
      store_float(least, low + g);
      store_float(most, high + g);
    }
  }

  static void divide(const float* in, size_t groups, size_t group_size, const float* divisors, float* out) {
    for (size_t g = 0; g < groups; ++g) {
      const auto divisor = V::set(load_float(divisors + g));
      for (size_t i = g * group_size; i < (g + 1) * group_size; i += kLanes)
        V::store(V::div(V::load(in + i), divisor), out + i);
    }
  }

  static void affine_encode(const float* in, size_t groups, size_t group_size, int bits, const float* scales,
                            const float* biases, uint8_t* codes) {
    const auto zero = V::set(0.0f), largest = V::set(static_cast<float>((1 << bits) - 1));
    uint8_t chunk[kChunk];
    for (size_t g = 0; g < groups; ++g) {
      const auto scale = V::set(load_float(scales + g)), bias = V::set(load_float(biases + g));
      for (size_t done = 0; done < group_size; done += kChunk) {
        const size_t n = group_size - done < kChunk ? group_size - done : kChunk;
        for (size_t i = 0; i < n; i += kLanes) {
          const auto code = V::rint(V::div(V::sub(V::load(in + i), bias), scale));
          V::store_bytes(V::to_int(V::min(V::max(code, zero), largest)), chunk + i);
        }
        pack(chunk, n, bits, codes);
        in += n;
        codes += n / 8 * static_cast<size_t>(bits);
      }
    }
  }

  static void int8_encode(const float* in, size_t n, float scale, float zero_point, int8_t* codes) {
    map<float, int8_t>(in, n, codes, [=](const void* a, void* b) {
      const auto code = V::add(V::rint(V::div(V::load(a), V::set(scale))), V::set(zero_point));
      V::store_bytes(V::to_int(V::min(V::max(code, V::set(-128.0f)), V::set(127.0f))), b);
    });
  }

  static void e2m1_encode(const float* in, size_t n, uint8_t* codes) {
    static constexpr float kMidpoints[] = {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5};
    uint8_t chunk[kChunk];
    for (size_t done = 0; done < n; done += kChunk) {
      const size_t count = n - done < kChunk ? n - done : kChunk;
      for (size_t i = 0; i < count; i += kLanes) {
        const auto value = V::load(in + done + i);
        const auto magnitude = V::abs(value);
        auto code = V::set(0);
        for (float midpoint : kMidpoints) code = V::count_above(code, magnitude, V::set(midpoint));
        const auto sign = V::as_int(V::zero_unless_above(value, magnitude, V::set(0.25f)));
        V::store_bytes(V::bit_or(code, V::bit_and(V::template shift_right<28>(sign), V::set(8))), chunk + i);
      }
      pack<4>(chunk, count, codes + done / 2);
    }
  }

  static void e4m3_encode(const float* in, size_t n, uint8_t* codes) {
    for (size_t i = 0; i < n; i += kLanes) {
      const auto value = V::load(in + i);
      const auto magnitude = V::min(V::abs(value), V::set(448.0f));
      const auto bits = V::as_int(magnitude);
      // Normal: round at bit 20, then move the exponent's bias from 127 to 7.
      const auto odd = V::bit_and(V::template shift_right<20>(bits), V::set(1));
      const auto rounded = V::add(bits, V::add(odd, V::set(0x7ffff - (120 << 23))));
      // Subnormal, a whole number of 2^-9: the unit of a float between 2^14 and 2^15.
      const auto shifted = V::as_int(V::add(magnitude, V::set(0x1p14f)));
      const auto small = V::bit_and(shifted, V::set(0xf));
      const auto code =
          V::select_above(V::set(0x1p-6f), magnitude, small, V::template shift_right<20>(rounded));
      const auto sign = V::bit_and(V::template shift_right<24>(V::as_int(value)), V::set(0x80));
      V::store_bytes(V::bit_or(code, sign), codes + i);
    }
  }

  static void affine_decode(const uint8_t* codes, size_t groups, size_t group_size, int bits,
                            const float* scales, const float* biases, float* out) {
    uint8_t chunk[kChunk];
    for (size_t g = 0; g < groups; ++g) {
      const auto scale = V::set(load_float(scales + g)), bias = V::set(load_float(biases + g));
      for (size_t done = 0; done < group_size; done += kChunk) {
        const size_t n = group_size - done < kChunk ? group_size - done : kChunk;
        unpack(codes, n, bits, chunk);
        for (size_t i = 0; i < n; i += kLanes)
          V::store(V::add(V::mul(V::to_float(V::load_u8(chunk + i)), scale), bias), out + i);
        out += n;
        codes += n / 8 * static_cast<size_t>(bits);
      }
    }
  }

  static void int8_decode(const int8_t* codes, size_t n, float scale, float zero_point, float* out) {
    map<int8_t, float>(codes, n, out, [=](const void* a, void* b) {
      V::store(V::mul(V::sub(V::to_float(V::load_i8(a)), V::set(zero_point)), V::set(scale)), b);
    });
  }

  static void e2m1_decode(const uint8_t* codes, size_t groups, size_t group_size, const float* scales,
                          float* out) {
    static constexpr float kMagnitudes[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
    uint8_t chunk[kLargestLanes];
    for (size_t g = 0; g < groups; ++g) {
      const auto scale = V::set(load_float(scales + g));
      for (size_t i = g * group_size; i < (g + 1) * group_size; i += kLanes) {
        unpack<4>(codes + i / 2, kLanes, chunk);
        const auto code = V::load_u8(chunk);
        const auto magnitude = V::as_int(V::look_up(kMagnitudes, V::bit_and(code, V::set(7))));
        const auto sign = V::template shift_left<28>(V::bit_and(code, V::set(8)));
        V::store(V::mul(V::as_float(V::bit_or(magnitude, sign)), scale), out + i);
      }
    }
  }

  static void e4m3_decode(const uint8_t* codes, size_t groups, size_t group_size, const float* scales,
                          float* out) {
    for (size_t g = 0; g < groups; ++g) {
      const auto scale = V::set(load_float(scales + g));
      for (size_t i = g * group_size; i < (g + 1) * group_size; i += kLanes) {
        const auto code = V::load_u8(codes + i);
        // Shifts exponent and mantissa to their place in a float. The exponent biases (7, 127) differ by a
        // factor, also for subnormals. The largest code is NaN.
        const auto magnitude = V::as_float(V::template shift_left<20>(V::bit_and(code, V::set(0x7f))));
        const auto product = V::mul(magnitude, V::set(0x1p120f));
        const auto value = V::select_above(product, V::set(448.0f), V::set(0x7fc00000), V::as_int(product));
        const auto sign = V::template shift_left<24>(V::bit_and(code, V::set(0x80)));
        V::store(V::mul(V::as_float(V::bit_or(value, sign)), scale), out + i);
      }
    }
  }

  static constexpr QuantizeKernels table() {
    return {f64_to_f32, f16_to_f32,    bf16_to_f32,   f32_to_f16,  f32_to_bf16, find_not_finite,
            min_max,    divide,        affine_encode, int8_encode, e2m1_encode, e4m3_encode,
            unpack,     affine_decode, int8_decode,   e2m1_decode, e4m3_decode};
  }
};

}  // namespace
}  // namespace mlxe
