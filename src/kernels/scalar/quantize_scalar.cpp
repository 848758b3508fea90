// The scalar reference of quantize_table.h, one value at a time. Also runs on processors without another
// variant.
#include "kernels/quantize_table.h"

namespace mlxe {
namespace {

template <class T>
T load(const void* base, size_t index) {
  T value;
  __builtin_memcpy(&value, static_cast<const unsigned char*>(base) + index * sizeof(T), sizeof(T));
  return value;
}

template <class T>
void store(void* base, size_t index, T value) {
  __builtin_memcpy(static_cast<unsigned char*>(base) + index * sizeof(T), &value, sizeof(T));
}

uint32_t bits_of(float value) {
  return __builtin_bit_cast(uint32_t, value);
}
float float_of(uint32_t bits) {
  return __builtin_bit_cast(float, bits);
}
float absolute(float value) {
  return float_of(bits_of(value) & 0x7fffffffu);
}

// Rounds half to even. Adding 2^23 leaves no bits for a fraction; from 2^23 on every float is whole.
float rint(float value) {
  constexpr float kWhole = 0x1p23f;
  if (!(absolute(value) < kWhole)) return value;
  return value < 0 ? (value - kWhole) + kWhole : (value + kWhole) - kWhole;
}

float clamp(float value, float low, float high) {
  return value < low ? low : value > high ? high : value;
}

// ---- casts

float float_of_f16(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 31u;
  const uint32_t mantissa = half & 1023u;
  if (exponent == 31) return float_of(sign | 0x7f800000u | mantissa << 13 | (mantissa ? 0x400000u : 0));
  const float magnitude = exponent == 0 ? static_cast<float>(mantissa) * 0x1p-24f
                                        : float_of((exponent + 112) << 23 | mantissa << 13);
  return float_of(bits_of(magnitude) | sign);
}

uint16_t f16_of_float(float value) {
  const uint32_t sign = bits_of(value) >> 16 & 0x8000u;
  const uint32_t magnitude = bits_of(value) & 0x7fffffffu;
  uint32_t half;
  if (magnitude > 0x7f800000u)
    half = 0x7e00u | (magnitude >> 13 & 0x3ffu);
  else if (magnitude >= 0x477ff000u)  // 65520, half way between the largest float16 and 2^16
    half = 0x7c00u;
  else if (magnitude < 0x38800000u)  // below 2^-14: a whole number of 2^-24
    half = static_cast<uint32_t>(rint(float_of(magnitude) * 0x1p24f));
  else
    half = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  return static_cast<uint16_t>(sign | half);
}

uint16_t bf16_of_float(float value) {
  const uint32_t bits = bits_of(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

void f64_to_f32(const void* in, size_t n, void* out) {
  for (size_t i = 0; i < n; ++i) store(out, i, static_cast<float>(load<double>(in, i)));
}

void f16_to_f32(const void* in, size_t n, void* out) {
  for (size_t i = 0; i < n; ++i) store(out, i, float_of_f16(load<uint16_t>(in, i)));
}

void bf16_to_f32(const void* in, size_t n, void* out) {
  for (size_t i = 0; i < n; ++i) store(out, i, static_cast<uint32_t>(load<uint16_t>(in, i)) << 16);
}

void f32_to_f16(const void* in, size_t n, void* out) {
  for (size_t i = 0; i < n; ++i) store(out, i, f16_of_float(load<float>(in, i)));
}

void f32_to_bf16(const void* in, size_t n, void* out) {
  for (size_t i = 0; i < n; ++i) store(out, i, bf16_of_float(load<float>(in, i)));
}

size_t find_not_finite(const float* in, size_t n) {
  size_t i = 0;
  while (i < n && (load<uint32_t>(in, i) & 0x7f800000u) != 0x7f800000u) ++i;
  return i;
}

// ---- groups

void min_max(const float* in, size_t groups, size_t group_size, float* low, float* high) {
  for (size_t g = 0; g < groups; ++g) {
    float least = load<float>(in, g * group_size);
    float most = least;
    for (size_t i = 1; i < group_size; ++i) {
      const float value = load<float>(in, g * group_size + i);
      least = value < least ? value : least;
      most = value > most ? value : most;
    }
    store(low, g, least);
    store(high, g, most);
  }
}

void divide(const float* in, size_t groups, size_t group_size, const float* divisors, float* out) {
  for (size_t i = 0; i < groups * group_size; ++i)
    store(out, i, load<float>(in, i) / load<float>(divisors, i / group_size));
}

// ---- codes

void put(uint8_t* stream, size_t index, int bits, unsigned code) {
  const size_t bit = index * static_cast<size_t>(bits);
  const unsigned shifted = code << (bit % 8);
  const unsigned mask = ((1u << bits) - 1u) << (bit % 8);
  uint8_t* byte = stream + bit / 8;
  byte[0] = static_cast<uint8_t>((byte[0] & ~mask) | shifted);
  if (mask > 0xff) byte[1] = static_cast<uint8_t>((byte[1] & ~(mask >> 8)) | shifted >> 8);
}

unsigned get(const uint8_t* stream, size_t index, int bits) {
  const size_t bit = index * static_cast<size_t>(bits);
  unsigned word = stream[bit / 8];
  if (bit % 8 + static_cast<size_t>(bits) > 8) word |= static_cast<unsigned>(stream[bit / 8 + 1]) << 8;
  return word >> (bit % 8) & ((1u << bits) - 1u);
}

void affine_encode(const float* in, size_t groups, size_t group_size, int bits, const float* scales,
                   const float* biases, uint8_t* codes) {
  const float largest = static_cast<float>((1 << bits) - 1);
  for (size_t i = 0; i < groups * group_size; ++i) {
    const float scale = load<float>(scales, i / group_size), bias = load<float>(biases, i / group_size);
    const float code = clamp(rint((load<float>(in, i) - bias) / scale), 0, largest);
    put(codes, i, bits, static_cast<unsigned>(code));
  }
}

void int8_encode(const float* in, size_t n, float scale, float zero_point, int8_t* codes) {
  for (size_t i = 0; i < n; ++i)
    codes[i] = static_cast<int8_t>(clamp(rint(load<float>(in, i) / scale) + zero_point, -128, 127));
}

constexpr float kE2m1[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};

void e2m1_encode(const float* in, size_t n, uint8_t* codes) {
  for (size_t i = 0; i < n; ++i) {
    const float value = load<float>(in, i);
    unsigned code = 0;
    while (code < 7 && absolute(value) > (kE2m1[code] + kE2m1[code + 1]) / 2) ++code;
    if (value < 0 && code != 0) code += 8;
    put(codes, i, 4, code);
  }
}

void e4m3_encode(const float* in, size_t n, uint8_t* codes) {
  for (size_t i = 0; i < n; ++i) {
    const float value = load<float>(in, i);
    const float magnitude = clamp(absolute(value), 0, 448);
    const uint32_t bits = bits_of(magnitude);
    const uint32_t code = magnitude < 0x1p-6f ? static_cast<uint32_t>(rint(magnitude * 0x1p9f))
                                              : (bits - (120u << 23) + 0x7ffffu + (bits >> 20 & 1u)) >> 20;
    codes[i] = static_cast<uint8_t>(bits_of(value) >> 24 & 0x80u) | static_cast<uint8_t>(code);
  }
}

void unpack(const uint8_t* packed, size_t n, int bits, uint8_t* codes) {
  for (size_t i = 0; i < n; ++i) codes[i] = static_cast<uint8_t>(get(packed, i, bits));
}

void affine_decode(const uint8_t* codes, size_t groups, size_t group_size, int bits, const float* scales,
                   const float* biases, float* out) {
  for (size_t i = 0; i < groups * group_size; ++i) {
    const float scaled = static_cast<float>(get(codes, i, bits)) * load<float>(scales, i / group_size);
    store(out, i, scaled + load<float>(biases, i / group_size));
  }
}

void int8_decode(const int8_t* codes, size_t n, float scale, float zero_point, float* out) {
  for (size_t i = 0; i < n; ++i) store(out, i, (static_cast<float>(codes[i]) - zero_point) * scale);
}

void e2m1_decode(const uint8_t* codes, size_t groups, size_t group_size, const float* scales, float* out) {
  for (size_t i = 0; i < groups * group_size; ++i) {
    const unsigned code = get(codes, i, 4);
    const float value = code & 8u ? -kE2m1[code & 7u] : kE2m1[code];
    store(out, i, value * load<float>(scales, i / group_size));
  }
}

void e4m3_decode(const uint8_t* codes, size_t groups, size_t group_size, const float* scales, float* out) {
  for (size_t i = 0; i < groups * group_size; ++i) {
    const uint32_t exponent = codes[i] >> 3 & 15u, mantissa = codes[i] & 7u;
    const float magnitude = (codes[i] & 0x7fu) == 0x7fu ? float_of(0x7fc00000u)
                            : exponent == 0             ? static_cast<float>(mantissa) * 0x1p-9f
                                                        : float_of((exponent + 120) << 23 | mantissa << 20);
    store(out, i, (codes[i] & 0x80u ? -magnitude : magnitude) * load<float>(scales, i / group_size));
  }
}

}  // namespace

const QuantizeKernels kQuantizeScalar = {
    f64_to_f32, f16_to_f32,    bf16_to_f32,   f32_to_f16,  f32_to_bf16, find_not_finite,
    min_max,    divide,        affine_encode, int8_encode, e2m1_encode, e4m3_encode,
    unpack,     affine_decode, int8_decode,   e2m1_decode, e4m3_decode,
};

}  // namespace mlxe
