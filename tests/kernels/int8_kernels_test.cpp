// Every kernel of int8_table.h x every runnable variant x odd sizes x unaligned pointers, against the formula
// in double precision.
#include "kernels/int8_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "base/cpu_features.h"

namespace mlxe {

#if defined(__x86_64__)
extern const Int8Kernels kInt8AvxVnniEvex;  // x86/int8_avx_vnni_evex.cpp
#endif

namespace {

constexpr double u = 0x1p-24;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

enum class Fill { random, highest, lowest };  // codes of 255 or 0

// M rows of activations, one panel of weights.
struct Product {
  int64_t rows, groups, columns, ld, ld_groups, ld_y;
  int group;
  std::vector<int8_t> a;
  std::vector<float> terms, scales, biases, from;
  std::vector<uint8_t> w;

  Product(int64_t m, int64_t g, int group_size, int64_t n, Fill fill = Fill::random)
      : rows(m), groups(g), columns(n), group(group_size) {
    const int64_t k = groups * group;
    ld = (k + 63) / 64 * 64 + 64, ld_groups = 2 * groups + 3, ld_y = n + 5;
    std::mt19937 random(static_cast<uint32_t>(m * 1000 + k + n));
    std::normal_distribution<float> normal(0, 1);
    a.resize(static_cast<size_t>(rows * ld));
    w.resize(static_cast<size_t>(k * kInt8Panel) + 64);
    for (int8_t& v : a)
      v = static_cast<int8_t>(fill == Fill::random ? static_cast<int>(random() % 255) - 127
                              : random() % 8       ? -127
                                                   : 127);
    for (uint8_t& v : w)
      v = static_cast<uint8_t>(fill == Fill::highest ? 255 : fill == Fill::lowest ? 0 : random());
    for (int64_t i = 0; i < rows * ld_groups; ++i) terms.push_back(std::abs(normal(random)) * 0.02f);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < groups; ++i) {
        float sum = 0;
        for (int64_t c = 0; c < group; ++c) sum += a[static_cast<size_t>(r * ld + i * group + c)];
        terms[static_cast<size_t>(r * ld_groups + 2 * i + 1)] = sum;
      }
    for (int64_t i = 0; i < groups * kInt8Panel; ++i) {
      scales.push_back(std::abs(normal(random)) * 0.01f);
      biases.push_back(-scales.back() * 128 + normal(random) * 0.1f);
    }
    for (int64_t i = 0; i < rows * ld_y; ++i) from.push_back(normal(random));
  }

  std::vector<float> operator()(const Int8Kernels& kernels) const {
    std::vector<float> y(static_cast<size_t>(rows * ld_y), 77.0f);
    const ReadAhead ahead{w.data(), groups * group * kInt8Panel / (groups % 2 == 0 ? 1 : 2)};
    kernels.matmul({a.data(), ld, terms.data(), ld_groups}, rows, {w.data(), scales.data(), biases.data()},
                   groups, group, from.data(), ld_y, y.data(), ld_y, columns, ahead);
    return y;
  }

  // The largest error in units of what is allowed. Of each group: the integer sum may be off by 1.5 units
  // (int8_avx512_vnni.cpp), its value by the four roundings of its terms; then come `groups` + 1 additions.
  double worst(const std::vector<float>& y) const {
    double worst = 0;
    for (int64_t m = 0; m < rows; ++m)
      for (int64_t n = 0; n < ld_y; ++n) {
        const double found = y[static_cast<size_t>(m * ld_y + n)];
        if (n >= columns) {
          EXPECT_EQ(found, 77.0) << "written past the columns";
          continue;
        }
        double sum = from[static_cast<size_t>(m * ld_y + n)], magnitude = std::abs(sum), allowed = 0;
        for (int64_t g = 0; g < groups; ++g) {
          int64_t dot = 0;
          for (int64_t k = g * group; k < (g + 1) * group; ++k)
            dot += a[static_cast<size_t>(m * ld + k)] * w[static_cast<size_t>((k / 4 * 32 + n) * 4 + k % 4)];
          const double scale = terms[static_cast<size_t>(m * ld_groups + 2 * g)];
          const double s = scales[static_cast<size_t>(g * 32 + n)] * scale;
          const double first = s * static_cast<double>(dot);
          const double second = biases[static_cast<size_t>(g * 32 + n)] * scale *
                                terms[static_cast<size_t>(m * ld_groups + 2 * g + 1)];
          sum += first + second;
          magnitude += std::abs(first) + std::abs(second);
          allowed += 1.5 * s;
        }
        allowed += static_cast<double>(groups + 5) * u * magnitude;
        worst = std::max(worst, std::abs(found - sum) / allowed);
      }
    return worst;
  }
};

class Int8 : public testing::TestWithParam<Isa> {
 protected:
  const Int8Kernels& k_ = int8_kernels(GetParam());
};

INSTANTIATE_TEST_SUITE_P(, Int8, testing::ValuesIn(runnable_variants().begin(), runnable_variants().end()),
                         [](const auto& parameter) { return std::string(name(parameter.param)); });

TEST_P(Int8, MatmulIsTheSumOfScaledGroups) {
  for (int64_t m : {1, 2, 3, 4, 5, 6, 7, 12, 13, 15, 16, 17, 32, 33, 50})
    for (int group : {16, 32, 64})
      for (int64_t k : {64, 128, 384})
        for (int64_t n : {1, 15, 16, 17, 31, 32}) {
          const Product p(m, k / group, group, n);
          EXPECT_LE(p.worst(p(k_)), 1) << m << "x" << k << "x" << n << " g" << group;
        }
}

TEST_P(Int8, MatmulHoldsTheExtremes) {
  for (Fill fill : {Fill::highest, Fill::lowest}) {
    const Product p(13, 12, 64, 32, fill);
    EXPECT_LE(p.worst(p(k_)), 1);
  }
}

// A code is off by 2 where the activation's code is at least 100: 200 units, where 1.5 a group are allowed.
TEST_P(Int8, MatmulToleranceSeesOneDamagedCode) {
  for (int group : {16, 32, 64}) {
    Product p(17, 6, group, 32);
    p.a[static_cast<size_t>(5)] = 110;
    const std::vector<float> y = p(k_);
    uint8_t& code = p.w[static_cast<size_t>((4 / 4 * 32 + 9) * 4 + 5 % 4)];
    code = static_cast<uint8_t>(code < 128 ? code + 2 : code - 2);
    EXPECT_GT(p.worst(y), 2) << group;
  }
}

#if defined(__x86_64__)
// AVX2's differ in their last bits, so the comparison would see it.
TEST(Int8Vpdpbusd, ItsVariantsAndAmxGiveTheSameBits) {
  const Product product(50, 6, 64, 32);
  std::vector<Isa> same;
  for (Isa isa : {Isa::avx_vnni, Isa::avx512_vnni, Isa::amx})
    if (runs(isa)) same.push_back(isa);
  if (same.size() < 2) GTEST_SKIP() << "runs only where the processor has two of them";
  const std::vector<float> expected = product(int8_kernels(same.back()));
  EXPECT_NE(product(int8_kernels(Isa::avx2)), expected);
  for (Isa isa : same) EXPECT_EQ(product(int8_kernels(isa)), expected) << name(isa);
}

// The same source as AVX-VNNI's, where the processor has the instruction in its other encoding only.
TEST(Int8Vpdpbusd, AvxVnniInItsEvexEncodingGivesTheSameBits) {
  if (!runs(Isa::avx512_vnni)) GTEST_SKIP() << "needs AVX-512 VNNI";
  for (int64_t m : {1, 2, 3, 4, 5, 6, 7, 12, 13, 16, 33})
    for (int group : {16, 32, 64})
      for (int64_t n : {1, 16, 17, 32})
        for (Fill fill : {Fill::random, Fill::highest, Fill::lowest}) {
          const Product p(m, 384 / group, group, n, fill);
          EXPECT_EQ(p(kInt8AvxVnniEvex), p(int8_kernels(Isa::avx512_vnni))) << m << "x" << n << " g" << group;
        }
}
#endif

TEST_P(Int8, ARowHasTheSameBitsInAnyTile) {
  const Product all(40, 6, 64, 32);
  const std::vector<float> together = all(k_);
  for (int64_t count : {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 17, 31})  // every height of a tile
    for (int64_t m = 0; m + count <= all.rows; m += count)
      for (int64_t columns : {32, 19}) {
        std::vector<float> few(static_cast<size_t>(count) * 32);
        k_.matmul({&all.a[static_cast<size_t>(m * all.ld)], all.ld,
                   &all.terms[static_cast<size_t>(m * all.ld_groups)], all.ld_groups},
                  count, {all.w.data(), all.scales.data(), all.biases.data()}, 6, 64,
                  &all.from[static_cast<size_t>(m * all.ld_y)], all.ld_y, few.data(), 32, columns, {});
        for (int64_t i = 0; i < count; ++i)
          EXPECT_EQ(std::memcmp(&few[static_cast<size_t>(i * 32)],
                                &together[static_cast<size_t>((m + i) * all.ld_y)],
                                static_cast<size_t>(columns) * 4),
                    0)
              << "row " << m + i << " among " << count;
      }
}

TEST_P(Int8, AddsInPlaceAndRepeatsOneRow) {
  Product p(14, 3, 32, 32);
  std::vector<float> y = p.from;
  const std::vector<float> expected = p(k_);
  const Int8Rows x{p.a.data(), p.ld, p.terms.data(), p.ld_groups};
  const Int8Weights w{p.w.data(), p.scales.data(), p.biases.data()};
  k_.matmul(x, p.rows, w, p.groups, p.group, y.data(), p.ld_y, y.data(), p.ld_y, 32, {});
  for (int64_t m = 0; m < p.rows; ++m)
    EXPECT_EQ(
        std::memcmp(&y[static_cast<size_t>(m * p.ld_y)], &expected[static_cast<size_t>(m * p.ld_y)], 128), 0);
  for (int64_t m = 1; m < p.rows; ++m) std::copy_n(p.from.begin(), p.ld_y, p.from.begin() + m * p.ld_y);
  const std::vector<float> repeated = p(k_);
  k_.matmul(x, p.rows, w, p.groups, p.group, p.from.data(), 0, y.data(), p.ld_y, 32, {});
  for (int64_t m = 0; m < p.rows; ++m)
    EXPECT_EQ(
        std::memcmp(&y[static_cast<size_t>(m * p.ld_y)], &repeated[static_cast<size_t>(m * p.ld_y)], 128), 0);
}

TEST_P(Int8, ExpandLooksEveryCodeUp) {
  std::vector<uint8_t> packed(512), table(16), codes(1024 + 1), expected(1024);
  std::mt19937 random(3);
  for (uint8_t& v : packed) v = static_cast<uint8_t>(random());
  for (uint8_t& v : table) v = static_cast<uint8_t>(random());
  for (size_t i = 0; i < packed.size(); ++i) {
    expected[i / 64 * 128 + i % 64] = table[packed[i] & 15];
    expected[i / 64 * 128 + i % 64 + 64] = table[packed[i] >> 4];
  }
  k_.expand(packed.data(), 1024, table.data(), codes.data() + 1);
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), codes.begin() + 1));
}

// The code is the nearest one (within what rounding the quotient may do), the sum is theirs, and x is within
// half a step of code * scale.
TEST_P(Int8, QuantizeRoundsToTheNearestOf255) {
  std::mt19937 random(9);
  std::normal_distribution<float> normal(0, 3);
  for (int group : {16, 32, 64})
    for (int64_t n : {1, 15, 16, 39, 63, 64, 65, 128, 130, 384}) {
      std::vector<float> x(static_cast<size_t>(n) + 1);
      for (float& v : x) v = normal(random);
      const int64_t padded = (n + 63) / 64 * 64;
      std::vector<int8_t> codes(static_cast<size_t>(padded) + 1, 99);
      std::vector<float> terms(static_cast<size_t>(2 * padded / group) + 1, 77);
      k_.quantize(x.data() + 1, n, group, codes.data(), terms.data());
      EXPECT_EQ(codes.back(), 99);
      EXPECT_EQ(terms.back(), 77);
      for (int64_t g = 0; g < padded / group; ++g) {
        float largest = 0, sum = 0;
        const float scale = terms[static_cast<size_t>(2 * g)];
        for (int64_t i = g * group; i < (g + 1) * group; ++i) {
          const int8_t code = codes[static_cast<size_t>(i)];
          sum += code;
          if (i >= n) {
            EXPECT_EQ(code, 0);
            continue;
          }
          const float value = x[static_cast<size_t>(i + 1)];
          largest = std::max(largest, std::abs(value));
          EXPECT_LE(std::abs(value - static_cast<float>(code) * scale), scale * 0.5001f) << i << " of " << n;
        }
        EXPECT_EQ(scale, largest / 127);
        EXPECT_EQ(terms[static_cast<size_t>(2 * g + 1)], sum);
      }
    }
}

TEST_P(Int8, ZerosStayZerosAndWhatIsNotFiniteShows) {
  for (float value : {0.0f, 1e-38f, kNan, std::numeric_limits<float>::infinity()}) {
    std::vector<float> x(128, 0.25f), terms(4);
    std::fill_n(x.begin(), 64, 0.0f);
    x[37] = value;
    std::vector<int8_t> codes(128);
    k_.quantize(x.data(), 128, 64, codes.data(), terms.data());
    EXPECT_EQ(std::isfinite(terms[0]), std::isfinite(value)) << value;
    EXPECT_EQ(codes[36], 0);
    EXPECT_EQ(codes[64], 127);
    EXPECT_EQ(terms[2], 0.25f / 127);
    EXPECT_EQ(codes[37], 0);  // of a group that is not finite the codes don't matter, but are defined
  }
}

// The oracle's own proof is the formula above; each variant's codes are the oracle's.
TEST_P(Int8, QuantizeGivesTheOraclesCodes) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> x(333), terms(2 * 6), expected_terms(2 * 6);
  for (float& v : x) v = normal(random);
  std::vector<int8_t> codes(384), expected(384);
  k_.quantize(x.data(), 333, 64, codes.data(), terms.data());
  kInt8Scalar.quantize(x.data(), 333, 64, expected.data(), expected_terms.data());
  EXPECT_EQ(codes, expected);
  EXPECT_EQ(terms, expected_terms);
}

}  // namespace
}  // namespace mlxe
