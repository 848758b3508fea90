// Every runnable variant against the scalar oracle, bit for bit: odd sizes, unaligned pointers, extreme
// values; and the oracle itself against definitions that share no code with it.
#include "kernels/quantize_table.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "base/cpu_features.h"
#include "base/half.h"

namespace mlxe::quantize_kernels_test {
namespace {

const QuantizeKernels& kOracle = kQuantizeScalar;
const size_t kSizes[] = {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 127, 128, 1000};

// n values of T at one byte past an aligned address, followed by guard bytes.
template <class T>
class Unaligned {
 public:
  explicit Unaligned(size_t n) : n_(n), bytes_(n * sizeof(T) + 1 + kGuard, kFill) {}
  explicit Unaligned(const std::vector<T>& values) : Unaligned(values.size()) {
    if (n_) std::memcpy(bytes_.data() + 1, values.data(), n_ * sizeof(T));
  }
  T* data() { return reinterpret_cast<T*>(bytes_.data() + 1); }
  const std::vector<unsigned char>& bytes() const { return bytes_; }  // guard included
  bool guard_intact() const {
    for (size_t i = 0; i < kGuard; ++i)
      if (bytes_[bytes_.size() - 1 - i] != kFill) return false;
    return bytes_[0] == kFill;
  }

 private:
  static constexpr size_t kGuard = 64;
  static constexpr unsigned char kFill = 0xa5;
  size_t n_;
  std::vector<unsigned char> bytes_;
};

float float_of(uint32_t bits) {
  return std::bit_cast<float>(bits);
}

// Random bit patterns (all exponents, subnormals), ordinary values, and corner cases.
std::vector<float> nasty_floats(size_t n, unsigned seed) {
  const float corners[] = {
      0.0f,      -0.0f,         1.0f,           -1.0f,           0x1p-149f,  -0x1p-149f,     0x1p-126f,
      0x1p-127f, 3.4028235e38f, -3.4028235e38f, 65504.0f,        65519.99f,  65520.0f,       -65520.0f,
      0x1p-24f,  0x1p-25f,      0x1.8p-25f,     0x1.000002p-25f, 0x1p-14f,   0x1.ffcp-15f,   0.5f,
      1.5f,      2.5f,          -2.5f,          0x1p23f,         8388607.5f, 0x1p22f + 0.5f, 448.0f,
      464.0f,    0x1p-10f,      0x1.8p-9f,      0x1p-6f,         0x1.fp-7f};
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.1f);
  std::vector<float> values(n);
  for (float& value : values) {
    switch (random() % 4) {
      case 0:
        value = corners[random() % std::size(corners)];
        break;
      case 1:
        value = normal(random);
        break;
      case 2:
        value = std::ldexp(normal(random), static_cast<int>(random() % 40) - 20);
        break;
      default:
        do value = float_of(static_cast<uint32_t>(random()));
        while (!std::isfinite(value));
    }
  }
  return values;
}

std::vector<float> ordinary_floats(size_t n, unsigned seed, float spread = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

class QuantizeKernelsTest : public testing::TestWithParam<Isa> {
 protected:
  const QuantizeKernels& kernels_ = quantize_kernels(GetParam());
};

INSTANTIATE_TEST_SUITE_P(Variants, QuantizeKernelsTest,
                         testing::ValuesIn(runnable_variants().begin(), runnable_variants().end()),
                         [](const auto& variant) { return std::string(name(variant.param)); });

TEST(QuantizeKernelsActive, FollowsTheActiveVariant) {
  EXPECT_EQ(&quantize_kernels(), &quantize_kernels(active_variant()));
  EXPECT_EQ(&quantize_kernels(Isa::scalar), &kQuantizeScalar);
#if defined(__x86_64__)
  EXPECT_EQ(&quantize_kernels(Isa::avx2), &kQuantizeAvx2);
  EXPECT_EQ(&quantize_kernels(Isa::avx512_vnni), &kQuantizeAvx512);
#endif
}

// ---- casts

using Cast = void (*)(const void*, size_t, void*);

template <class In, class Out>
void expect_same_cast(Cast oracle, Cast variant, const std::vector<In>& values) {
  for (size_t n : kSizes) {
    if (n > values.size()) continue;
    Unaligned<In> in(std::vector<In>(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(n)));
    Unaligned<Out> expected(n), found(n);
    oracle(in.data(), n, expected.data());
    variant(in.data(), n, found.data());
    ASSERT_EQ(found.bytes(), expected.bytes()) << "n " << n;
  }
  Unaligned<In> in(values);
  Unaligned<Out> expected(values.size()), found(values.size());
  oracle(in.data(), values.size(), expected.data());
  variant(in.data(), values.size(), found.data());
  ASSERT_TRUE(found.guard_intact());
  for (size_t i = 0; i < values.size(); ++i)
    ASSERT_EQ(std::memcmp(found.data() + i, expected.data() + i, sizeof(Out)), 0) << "value " << values[i];
}

std::vector<uint16_t> all_halves() {
  std::vector<uint16_t> halves(65536);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  return halves;
}

// All half floats, both neighbours of each, the midpoints between them, and NaN.
std::vector<float> around_all_halves(float (*widen)(uint16_t)) {
  std::vector<float> values;
  for (uint16_t half : all_halves()) {
    const float value = widen(half);
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const float next = widen(static_cast<uint16_t>(half + 1));
    for (float x : {value, float_of(bits + 1), float_of(bits - 1), (value + next) / 2,
                    std::nextafter((value + next) / 2, 0.0f), std::nextafter((value + next) / 2, 1e38f)})
      values.push_back(x);
  }
  return values;
}

TEST_P(QuantizeKernelsTest, Casts) {
  expect_same_cast<uint16_t, float>(kOracle.f16_to_f32, kernels_.f16_to_f32, all_halves());
  expect_same_cast<uint16_t, float>(kOracle.bf16_to_f32, kernels_.bf16_to_f32, all_halves());
  expect_same_cast<float, uint16_t>(kOracle.f32_to_f16, kernels_.f32_to_f16, around_all_halves(f16_to_float));
  expect_same_cast<float, uint16_t>(kOracle.f32_to_bf16, kernels_.f32_to_bf16,
                                    around_all_halves(bf16_to_float));
  expect_same_cast<float, uint16_t>(kOracle.f32_to_f16, kernels_.f32_to_f16, nasty_floats(100000, 1));
  expect_same_cast<float, uint16_t>(kOracle.f32_to_bf16, kernels_.f32_to_bf16, nasty_floats(100000, 2));
  std::vector<double> doubles;
  for (float x : nasty_floats(1000, 3))
    for (double scale : {1.0, 1.0 + 0x1p-24, 1.0 + 0x1p-25, 1e-3, 1e300}) doubles.push_back(x * scale);
  doubles.push_back(std::numeric_limits<double>::quiet_NaN());
  expect_same_cast<double, float>(kOracle.f64_to_f32, kernels_.f64_to_f32, doubles);
}

TEST(QuantizeKernelsOracle, CastsAgreeWithBase) {
  for (uint16_t half : all_halves()) {
    float wide;
    kOracle.f16_to_f32(&half, 1, &wide);
    if (std::isnan(wide))
      EXPECT_TRUE(std::isnan(f16_to_float(half)));
    else
      ASSERT_EQ(std::bit_cast<uint32_t>(wide), std::bit_cast<uint32_t>(f16_to_float(half)));
    kOracle.bf16_to_f32(&half, 1, &wide);
    ASSERT_EQ(std::bit_cast<uint32_t>(wide), std::bit_cast<uint32_t>(bf16_to_float(half)));
  }
  for (auto widen : {f16_to_float, bf16_to_float})
    for (float x : around_all_halves(widen)) {
      uint16_t half;
      kOracle.f32_to_f16(&x, 1, &half);
      ASSERT_EQ(half, float_to_f16(x)) << x;
      kOracle.f32_to_bf16(&x, 1, &half);
      ASSERT_EQ(half, float_to_bf16(x)) << x;
    }
}

// ---- searching

TEST_P(QuantizeKernelsTest, FindsTheFirstValueThatIsNotFinite) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (size_t n : kSizes) {
    Unaligned<float> clean(nasty_floats(n, 4));
    EXPECT_EQ(kernels_.find_not_finite(clean.data(), n), n);
    for (float bad : {inf, -inf, nan, -nan, float_of(0x7f800001u), float_of(0xffffffffu)})
      for (size_t at = 0; at < n; at += 1 + at / 20) {
        Unaligned<float> in(nasty_floats(n, 4));
        std::memcpy(in.data() + at, &bad, sizeof bad);
        if (at + 1 < n) std::memcpy(in.data() + n - 1, &bad, sizeof bad);
        ASSERT_EQ(kernels_.find_not_finite(in.data(), n), at) << "n " << n;
      }
  }
}

TEST_P(QuantizeKernelsTest, MinMax) {
  for (size_t group_size : {1, 2, 7, 8, 9, 16, 17, 31, 32, 64, 100, 128}) {
    const size_t groups = 37;
    Unaligned<float> in(nasty_floats(groups * group_size, static_cast<unsigned>(group_size)));
    std::vector<float> low(groups), high(groups), expected_low(groups), expected_high(groups);
    kOracle.min_max(in.data(), groups, group_size, expected_low.data(), expected_high.data());
    kernels_.min_max(in.data(), groups, group_size, low.data(), high.data());
    EXPECT_EQ(low, expected_low) << group_size;  // by value: -0 and +0 are the same
    EXPECT_EQ(high, expected_high) << group_size;
  }
}

TEST_P(QuantizeKernelsTest, Divide) {
  for (size_t group_size : {16, 32, 64, 128}) {
    const size_t groups = 33, n = groups * group_size;
    Unaligned<float> in(nasty_floats(n, 6)), divisors(nasty_floats(groups, 7)), expected(n), found(n);
    kOracle.divide(in.data(), groups, group_size, divisors.data(), expected.data());
    kernels_.divide(in.data(), groups, group_size, divisors.data(), found.data());
    for (size_t i = 0; i < n; ++i) {
      float a, b;
      std::memcpy(&a, expected.data() + i, sizeof a);
      std::memcpy(&b, found.data() + i, sizeof b);
      if (std::isnan(a) && std::isnan(b)) continue;  // 0 / 0
      ASSERT_EQ(std::bit_cast<uint32_t>(a), std::bit_cast<uint32_t>(b));
    }
    EXPECT_TRUE(found.guard_intact());
  }
}

// ---- codes

struct AffineCase {
  std::vector<float> values, scales, biases;
};

// Groups whose scales are slightly too large or too small for their values, so that codes are clamped at
// both ends. Also exact ties.
AffineCase affine_case(size_t groups, size_t group_size, int bits, unsigned seed) {
  AffineCase c{ordinary_floats(groups * group_size, seed), {}, {}};
  std::mt19937 random(seed);
  const float steps = static_cast<float>((1 << bits) - 1);
  for (size_t g = 0; g < groups; ++g) {
    const float sign = random() % 2 ? 1.0f : -1.0f;
    c.scales.push_back(sign *
                       (g % 5 == 0 ? 0.25f : 4.0f / steps + 1e-3f * static_cast<float>(random() % 100)));
    c.biases.push_back(g % 7 == 0 ? 0.0f : -sign * 2.0f);
    if (g % 5 == 0)
      for (size_t i = 0; i < group_size; ++i)
        c.values[g * group_size + i] = static_cast<float>(static_cast<int>(random() % 64) - 32) * 0.125f;
    if (g % 11 == 0) c.values[g * group_size] = 3e38f;
    if (g % 13 == 0) c.values[g * group_size] = -3e38f;
  }
  return c;
}

TEST_P(QuantizeKernelsTest, Affine) {
  for (int bits = 1; bits <= 8; ++bits)
    for (size_t group_size : {16, 32, 64, 128, 256}) {
      const size_t groups = 29, n = groups * group_size, bytes = n * static_cast<size_t>(bits) / 8;
      const AffineCase c = affine_case(groups, group_size, bits, static_cast<unsigned>(bits));
      Unaligned<float> in(c.values), scales(c.scales), biases(c.biases);
      Unaligned<uint8_t> expected(bytes), found(bytes);
      kOracle.affine_encode(in.data(), groups, group_size, bits, scales.data(), biases.data(),
                            expected.data());
      kernels_.affine_encode(in.data(), groups, group_size, bits, scales.data(), biases.data(), found.data());
      ASSERT_EQ(found.bytes(), expected.bytes()) << bits << " bits, group " << group_size;

      Unaligned<float> expected_values(n), values(n);
      kOracle.affine_decode(found.data(), groups, group_size, bits, scales.data(), biases.data(),
                            expected_values.data());
      kernels_.affine_decode(found.data(), groups, group_size, bits, scales.data(), biases.data(),
                             values.data());
      ASSERT_EQ(values.bytes(), expected_values.bytes()) << bits << " bits, group " << group_size;

      Unaligned<uint8_t> expected_codes(n), codes(n);
      kOracle.unpack(found.data(), n, bits, expected_codes.data());
      kernels_.unpack(found.data(), n, bits, codes.data());
      ASSERT_EQ(codes.bytes(), expected_codes.bytes()) << bits << " bits";
    }
}

// The twin of the comparison above: one scale nudged by its last bit, or one code flipped, is noticed.
TEST_P(QuantizeKernelsTest, ANudgedScaleOrFlippedCodeIsNoticed) {
  const size_t groups = 29, group_size = 64, n = groups * group_size;
  AffineCase c = affine_case(groups, group_size, 8, 8);
  std::vector<uint8_t> codes(n);
  kOracle.affine_encode(c.values.data(), groups, group_size, 8, c.scales.data(), c.biases.data(),
                        codes.data());
  std::vector<float> expected(n), found(n);
  kOracle.affine_decode(codes.data(), groups, group_size, 8, c.scales.data(), c.biases.data(),
                        expected.data());
  std::vector<float> nudged = c.scales;
  nudged[3] = std::nextafter(nudged[3], 100.0f);
  kernels_.affine_decode(codes.data(), groups, group_size, 8, nudged.data(), c.biases.data(), found.data());
  EXPECT_NE(found, expected);
  codes[1000] ^= 1;
  kernels_.affine_decode(codes.data(), groups, group_size, 8, c.scales.data(), c.biases.data(), found.data());
  EXPECT_NE(found, expected);
}

// Checks the definition directly: bit k * bits + j of the stream is bit j of code k.
TEST_P(QuantizeKernelsTest, CodesAreOneLittleEndianBitStream) {
  for (int bits = 1; bits <= 8; ++bits) {
    const size_t n = 48;
    std::mt19937 random(static_cast<unsigned>(bits));
    std::vector<uint8_t> packed(n * static_cast<size_t>(bits) / 8, 0), codes(n);
    for (uint8_t& byte : packed) byte = static_cast<uint8_t>(random());
    kernels_.unpack(packed.data(), n, bits, codes.data());
    for (size_t k = 0; k < n; ++k) {
      unsigned expected = 0;
      for (int j = 0; j < bits; ++j) {
        const size_t bit = k * static_cast<size_t>(bits) + static_cast<size_t>(j);
        expected |= (packed[bit / 8] >> (bit % 8) & 1u) << j;
      }
      ASSERT_EQ(codes[k], expected) << bits << " bits, code " << k;
    }
    std::vector<float> values(codes.begin(), codes.end());
    const float scale[3] = {1, 1, 1}, bias[3] = {0, 0, 0};
    std::vector<uint8_t> again(packed.size());
    kernels_.affine_encode(values.data(), 3, 16, bits, scale, bias, again.data());
    EXPECT_EQ(again, packed) << bits << " bits";
  }
}

TEST_P(QuantizeKernelsTest, Int8) {
  for (size_t n : kSizes)
    for (float zero_point : {-128.0f, -3.0f, 0.0f, 127.0f}) {
      std::vector<float> values = ordinary_floats(n, 9, 50);
      if (n > 3) values[2] = 1e38f, values[3] = -1e38f;
      Unaligned<float> in(values), expected_values(n), decoded(n);
      Unaligned<int8_t> expected(n), found(n);
      kOracle.int8_encode(in.data(), n, 0.5f, zero_point, expected.data());
      kernels_.int8_encode(in.data(), n, 0.5f, zero_point, found.data());
      ASSERT_EQ(found.bytes(), expected.bytes()) << n;
      kOracle.int8_decode(found.data(), n, 0.3f, zero_point, expected_values.data());
      kernels_.int8_decode(found.data(), n, 0.3f, zero_point, decoded.data());
      ASSERT_EQ(decoded.bytes(), expected_values.bytes()) << n;
    }
}

// Values around every value of a small float format, midpoints, and values beyond its ends; a multiple of
// 16 in all.
std::vector<float> around(const std::vector<float>& grid) {
  std::vector<float> values;
  for (size_t i = 0; i < grid.size(); ++i) {
    const float next = i + 1 < grid.size() ? grid[i + 1] : grid[i] * 1.1f;
    for (float x : {grid[i], (grid[i] + next) / 2})
      for (float y : {x, std::nextafter(x, 0.0f), std::nextafter(x, 1e9f)})
        for (float sign : {1.0f, -1.0f}) values.push_back(sign * y);
  }
  values.resize((values.size() + 15) / 16 * 16);
  return values;
}

std::vector<float> e4m3_grid() {
  std::vector<float> grid;
  for (int code = 0; code < 0x7f; ++code) {
    const int exponent = code >> 3, mantissa = code & 7;
    grid.push_back(exponent ? std::ldexp(8.0f + static_cast<float>(mantissa), exponent - 10)
                            : std::ldexp(static_cast<float>(mantissa), -9));
  }
  return grid;
}

const std::vector<float> kE2m1Grid{0, 0.5f, 1, 1.5f, 2, 3, 4, 6};

TEST_P(QuantizeKernelsTest, SmallFloats) {
  for (unsigned seed = 0; seed < 4; ++seed) {
    for (std::vector<float> values : {around(kE2m1Grid), around(e4m3_grid()), nasty_floats(1600, seed),
                                      ordinary_floats(528, seed, 3), ordinary_floats(16, seed, 3)}) {
      const size_t n = values.size();
      Unaligned<float> in(values);
      Unaligned<uint8_t> expected4(n / 2), found4(n / 2), expected8(n), found8(n);
      kOracle.e2m1_encode(in.data(), n, expected4.data());
      kernels_.e2m1_encode(in.data(), n, found4.data());
      ASSERT_EQ(found4.bytes(), expected4.bytes());
      kOracle.e4m3_encode(in.data(), n, expected8.data());
      kernels_.e4m3_encode(in.data(), n, found8.data());
      ASSERT_EQ(found8.bytes(), expected8.bytes());
    }
  }
  std::vector<uint8_t> all(256);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint8_t>(i);
  for (size_t group_size : {16, 32, 64}) {
    Unaligned<float> scales(ordinary_floats(32, 5)), expected(512), found(512);
    Unaligned<uint8_t> codes(all);
    kOracle.e2m1_decode(codes.data(), 512 / group_size, group_size, scales.data(), expected.data());
    kernels_.e2m1_decode(codes.data(), 512 / group_size, group_size, scales.data(), found.data());
    ASSERT_EQ(found.bytes(), expected.bytes());
    kOracle.e4m3_decode(codes.data(), 256 / group_size, group_size, scales.data(), expected.data());
    kernels_.e4m3_decode(codes.data(), 256 / group_size, group_size, scales.data(), found.data());
    ASSERT_EQ(found.bytes(), expected.bytes());
  }
}

// Compares the scalar variant's small floats with a search of the whole grid for the nearest value.
TEST(QuantizeKernelsOracle, SmallFloatsAreTheNearest) {
  const auto nearest = [](const std::vector<float>& grid, float x, bool ties_to_even) {
    size_t best = 0;
    for (size_t i = 1; i < grid.size(); ++i) {
      const double old_gap = std::abs(std::abs(x) - static_cast<double>(grid[best]));
      const double gap = std::abs(std::abs(x) - static_cast<double>(grid[i]));
      if (gap < old_gap || (gap == old_gap && ties_to_even && i % 2 == 0)) best = i;
    }
    return static_cast<uint8_t>(best);
  };
  const float one[1] = {1};
  for (const std::vector<float>& values :
       {around(kE2m1Grid), around(e4m3_grid()), ordinary_floats(1600, 1, 3)}) {
    for (size_t i = 0; i < values.size(); i += 16) {
      uint8_t packed[8], codes4[16], codes8[16];
      float back[16];
      kOracle.e2m1_encode(values.data() + i, 16, packed);
      kOracle.unpack(packed, 16, 4, codes4);
      kOracle.e4m3_encode(values.data() + i, 16, codes8);
      for (size_t j = 0; j < 16; ++j) {
        const float x = values[i + j];
        const uint8_t small = nearest(kE2m1Grid, x, false);
        ASSERT_EQ(codes4[j], small + (small && x < 0 ? 8 : 0)) << x;
        ASSERT_EQ(codes8[j], nearest(e4m3_grid(), x, true) + (std::signbit(x) ? 128 : 0)) << x;
      }
      kOracle.e2m1_decode(packed, 1, 16, one, back);
      for (size_t j = 0; j < 16; ++j)
        ASSERT_EQ(back[j], (codes4[j] & 8 ? -1.0f : 1.0f) * kE2m1Grid[codes4[j] & 7u]);
      kOracle.e4m3_decode(codes8, 1, 16, one, back);
      for (size_t j = 0; j < 16; ++j)
        ASSERT_EQ(back[j], (codes8[j] & 128 ? -1.0f : 1.0f) * e4m3_grid()[codes8[j] & 127u]);
    }
  }
}

// Compares the scalar variant's rounding with the C library's, below and above 2^23.
TEST(QuantizeKernelsOracle, RoundsHalfToEven) {
  for (float x : {0.5f, 1.5f, 2.5f, 126.5f, 0.49999997f, 99.5f, 100.5f}) {
    const float negative_then_positive[2] = {-x, x};
    int8_t codes[2];
    kOracle.int8_encode(negative_then_positive, 2, 1, 0, codes);
    EXPECT_EQ(codes[0], std::rint(-x));
    EXPECT_EQ(codes[1], std::rint(x));
  }
}

}  // namespace
}  // namespace mlxe::quantize_kernels_test
