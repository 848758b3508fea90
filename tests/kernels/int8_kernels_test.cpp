// Every kernel of int8_table.h x every runnable variant x odd sizes x unaligned pointers, against the formula
// in double precision.
#include "kernels/int8_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "base/cpu_features.h"
#include "base/half.h"
#include "larger_error.h"

#if defined(__x86_64__)
namespace mlxe {
extern const Int8Kernels kInt8AvxVnniEvex;  // x86/int8_avx_vnni_evex.cpp
}
#endif

namespace mlxe::int8_kernels_test {

namespace {

constexpr double u = 0x1p-24;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

enum class Fill { random, highest, lowest };  // codes of 255 or 0

// M rows of activations, one panel of weights.
struct Product {
  int64_t rows, groups, columns, ld, ld_groups, ld_y;
  int group;
  std::vector<int8_t> a;
  std::vector<float> a_scales, scales, from;
  std::vector<int32_t> accumulator_start;
  std::vector<uint16_t> bias_terms, biases;
  std::vector<uint8_t> w;

  Product(int64_t m, int64_t g, int group_size, int64_t n, Fill fill = Fill::random)
      : rows(m), groups(g), columns(n), group(group_size) {
    const int64_t k = groups * group;
    ld = (k + 63) / 64 * 64 + 64, ld_groups = groups + 3, ld_y = n + 5;
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
    a_scales.resize(static_cast<size_t>(rows * ld_groups)), accumulator_start.resize(a_scales.size());
    bias_terms.resize(2 * a_scales.size(),
                      float_to_bf16(kNan));  // the values of a missing group must have no effect
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < groups; ++i)
        a_scales[static_cast<size_t>(r * ld_groups + i)] = std::abs(normal(random)) * 0.02f;
    sum_up_codes();
    for (int64_t i = 0; i < groups * kInt8Panel; ++i) scales.push_back(std::abs(normal(random)) * 0.01f);
    biases.resize(static_cast<size_t>((groups + 1) / 2 * 2 * kInt8Panel));
    for (int64_t i = 0; i < groups; ++i)
      for (int64_t c = 0; c < kInt8Panel; ++c) biases[bias_at(i, c)] = float_to_bf16(normal(random) * 0.1f);
    for (int64_t i = 0; i < rows * ld_y; ++i) from.push_back(normal(random));
  }

  // Sets what follows from the activations' codes and scales.
  void sum_up_codes() {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < groups; ++i) {
        int32_t sum = 0;
        for (int64_t c = 0; c < group; ++c) sum += a[static_cast<size_t>(r * ld + i * group + c)];
        const auto at = static_cast<size_t>(r * ld_groups + i);
        accumulator_start[at] = -128 * sum;
        bias_terms[static_cast<size_t>(r * 2 * ld_groups + i)] =
            float_to_bf16(a_scales[at] * static_cast<float>(sum));
      }
  }

  static size_t bias_at(int64_t g, int64_t n) {
    return static_cast<size_t>((g / 2 * kInt8Panel + n) * 2 + g % 2);
  }
  Int8Rows activations() const {
    return {a.data(), ld, a_scales.data(), accumulator_start.data(), bias_terms.data(), ld_groups};
  }
  Int8Weights weights() const { return {w.data(), scales.data(), biases.data()}; }

  std::vector<float> operator()(const Int8Kernels& kernels) const {
    std::vector<float> y(static_cast<size_t>(rows * ld_y), 77.0f);
    const ReadAhead ahead{w.data(), groups * group * kInt8Panel / (groups % 2 == 0 ? 1 : 2), scales.data(),
                          biases.data(), groups};
    kernels.matmul(activations(), rows, weights(), groups, group, from.data(), ld_y, y.data(), ld_y, columns,
                   ahead);
    return y;
  }

  // The largest error, in units of the tolerance: integers and bfloat16 products are exact, each group's
  // value has two roundings, and 2 * groups + 1 additions follow.
  double worst(const std::vector<float>& y) const {
    double worst = 0;
    for (int64_t m = 0; m < rows; ++m)
      for (int64_t n = 0; n < ld_y; ++n) {
        const double found = y[static_cast<size_t>(m * ld_y + n)];
        if (n >= columns) {
          EXPECT_EQ(found, 77.0) << "written past the columns";
          continue;
        }
        double sum = from[static_cast<size_t>(m * ld_y + n)], magnitude = std::abs(sum);
        for (int64_t g = 0; g < groups; ++g) {
          int64_t dot = 0;
          for (int64_t k = g * group; k < (g + 1) * group; ++k)
            dot += a[static_cast<size_t>(m * ld + k)] *
                   (w[static_cast<size_t>((k / 4 * 32 + n) * 4 + k % 4)] - kInt8ZeroPoint);
          const double first = static_cast<double>(a_scales[static_cast<size_t>(m * ld_groups + g)]) *
                               scales[static_cast<size_t>(g * 32 + n)] * static_cast<double>(dot);
          const double second = static_cast<double>(bf16_to_float(biases[bias_at(g, n)])) *
                                bf16_to_float(bias_terms[static_cast<size_t>(m * 2 * ld_groups + g)]);
          sum += first + second;
          magnitude += std::abs(first) + std::abs(second);
        }
        worst = test::larger_error(
            worst, std::abs(found - sum) / (static_cast<double>(2 * groups + 3) * u * magnitude));
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

// Changes one code by 2, at an activation code of 110: 220 units of a sum of thousands of units. Then a result is NaN.
TEST_P(Int8, MatmulToleranceSeesOneDamagedCode) {
  for (int group : {16, 32, 64}) {
    Product p(17, 6, group, 32);
    p.a[static_cast<size_t>(5)] = 110;
    p.sum_up_codes();
    std::vector<float> y = p(k_);
    EXPECT_LE(p.worst(y), 1) << group;
    uint8_t& code = p.w[static_cast<size_t>((4 / 4 * 32 + 9) * 4 + 5 % 4)];
    const uint8_t before = std::exchange(code, static_cast<uint8_t>(code < 128 ? code + 2 : code - 2));
    EXPECT_GT(p.worst(y), 2) << group;
    code = before;
    y[0] = kNan;
    EXPECT_FALSE(p.worst(y) <= 1) << group;
  }
}

#if defined(__x86_64__)
// All variants with FMA do the same operations in the same order. The scalar variant has no FMA and differs
// in the last bits, which shows that the comparison notices such differences.
TEST(Int8X86, VariantsGiveTheSameBits) {
  const Product product(50, 6, 64, 32);
  std::vector<Isa> same;
  for (Isa isa : {Isa::avx2, Isa::avx_vnni, Isa::avx512, Isa::avx512_vnni, Isa::avx512_bf16, Isa::amx})
    if (runs(isa)) same.push_back(isa);
  if (same.size() < 2) GTEST_SKIP() << "runs only where the processor has two of them";
  const std::vector<float> expected = product(int8_kernels(same.back()));
  EXPECT_NE(product(kInt8Scalar), expected);
  for (Isa isa : same) EXPECT_EQ(product(int8_kernels(isa)), expected) << name(isa);
}

// Tests the AVX-VNNI source on processors that have only the other encoding of the instruction.
TEST(Int8X86, AvxVnniInItsEvexEncodingGivesTheSameBits) {
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
        k_.matmul(all.activations().at(m, 0, 64), count, all.weights(), 6, 64,
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
  const Int8Rows x = p.activations();
  const Int8Weights w = p.weights();
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

// matmul_int4() gives the bits of expand() and matmul().
void expect_halves_as_bytes(const Int8Kernels& kernels) {
  std::vector<uint8_t> table(16);
  for (size_t i = 0; i < 16; ++i) table[i] = static_cast<uint8_t>(16 * i);
  for (int64_t m : {1, 2, 5, 6, 7, 13, 16, 33})
    for (int group : {16, 32, 64})
      for (int64_t n : {1, 16, 17, 32}) {
        Product p(m, 384 / group, group, n);
        const std::vector<uint8_t> halves(p.w.begin(), p.w.begin() + 384 * 16);
        kernels.expand(halves.data(), 384 * 32, table.data(), p.w.data());
        const std::vector<float> expected = p(kernels);
        std::vector<float> y(expected.size(), 77.0f);
        const Int8Weights w{halves.data(), p.scales.data(), p.biases.data()};
        const ReadAhead ahead{halves.data(), 384 * 16, p.scales.data(), p.biases.data(), p.groups};
        kernels.matmul_int4(p.activations(), m, w, p.groups, group, p.from.data(), p.ld_y, y.data(), p.ld_y,
                            n, ahead);
        EXPECT_EQ(y, expected) << m << "x" << n << " g" << group;
        p.w[3] ^= 16;  // the twin
        EXPECT_NE(p(kernels), y);
      }
}

TEST(Int8Halves, MatmulOfHalvesIsThatOfTheBytes) {
  size_t found = 0;
  for (Isa isa : runnable_variants()) {
    SCOPED_TRACE(name(isa));
    const Int8Kernels& kernels = int8_kernels(isa);
    if (kernels.matmul_int4 == nullptr) continue;
    ++found;
    expect_halves_as_bytes(kernels);
  }
#if defined(__x86_64__)
  EXPECT_EQ(found > 0, runs(Isa::avx512_vnni));
#endif
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

// The result of quantize() for one row.
struct Quantized {
  std::vector<int8_t> codes;
  std::vector<float> scales;
  std::vector<int32_t> accumulator_start;
  std::vector<uint16_t> bias_terms;

  Quantized(const Int8Kernels& kernels, const float* x, int64_t n, int group) {
    const int64_t padded = (n + 63) / 64 * 64;
    const auto groups = static_cast<size_t>(padded / group);
    codes.assign(static_cast<size_t>(padded) + 1, 99);
    scales.assign(groups + 1, 77), accumulator_start.assign(groups + 1, 77),
        bias_terms.assign(groups + 1, 77);
    kernels.quantize(x, 0, 1, n, group, codes.data(), 0,
                     {scales.data(), accumulator_start.data(), bias_terms.data()}, 0);
    EXPECT_EQ(codes.back(), 99);
    EXPECT_EQ(scales.back(), 77);
    EXPECT_EQ(accumulator_start.back(), 77);
    EXPECT_EQ(bias_terms.back(), 77);
  }
  bool operator==(const Quantized&) const = default;
};

// The code is the nearest one (within the rounding of the quotient), start and term follow from the sum of
// the codes, and x is within half a step of code * scale.
TEST_P(Int8, QuantizeRoundsToTheNearestOf255) {
  std::mt19937 random(9);
  std::normal_distribution<float> normal(0, 3);
  for (int group : {16, 32, 64})
    for (int64_t n : {1, 15, 16, 39, 63, 64, 65, 128, 130, 384}) {
      std::vector<float> x(static_cast<size_t>(n) + 1);
      for (float& v : x) v = normal(random);
      const Quantized q(k_, x.data() + 1, n, group);
      for (size_t g = 0; g + 1 < q.scales.size(); ++g) {
        float largest = 0;
        int32_t sum = 0;
        const float scale = q.scales[g];
        for (int64_t i = static_cast<int64_t>(g) * group; i < static_cast<int64_t>(g + 1) * group; ++i) {
          const int8_t code = q.codes[static_cast<size_t>(i)];
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
        EXPECT_EQ(q.accumulator_start[g], -128 * sum);
        EXPECT_EQ(q.bias_terms[g], float_to_bf16(scale * static_cast<float>(sum)));
      }
    }
}

TEST_P(Int8, ZerosStayZerosAndWhatIsNotFiniteShows) {
  for (float value : {0.0f, 1e-38f, kNan, std::numeric_limits<float>::infinity()}) {
    std::vector<float> x(128, 0.25f);
    std::fill_n(x.begin(), 64, 0.0f);
    x[37] = value;
    const Quantized q(k_, x.data(), 128, 64);
    EXPECT_EQ(std::isfinite(q.scales[0]), std::isfinite(value)) << value;
    EXPECT_EQ(q.codes[36], 0);
    EXPECT_EQ(q.codes[64], 127);
    EXPECT_EQ(q.scales[1], 0.25f / 127);
    // For a group that is not finite these values are defined but irrelevant: its scale makes the result NaN.
    EXPECT_EQ(q.codes[37], 0);
    EXPECT_EQ(q.accumulator_start[0], 0);
    EXPECT_EQ(q.bias_terms[0], 0);
  }
}

// Each variant's codes equal those of the scalar variant, which the test above checks against the formula.
TEST_P(Int8, QuantizeGivesTheOraclesCodes) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> x(333);
  for (float& v : x) v = normal(random);
  EXPECT_EQ(Quantized(k_, x.data(), 333, 64), Quantized(kInt8Scalar, x.data(), 333, 64));
}

// Kernels take several groups and rows at once; one of them is not finite.
TEST_P(Int8, QuantizeGivesARowTheSameAmongOthers) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal(0, 1);
  for (int64_t n : {64, 192, 333, 384, 576})
    for (int64_t rows : {1, 2, 3, 7, 8, 9, 16, 21}) {
      const int64_t padded = (n + 63) / 64 * 64, ld_x = n + 7, ld_codes = padded + 64,
                    ld_groups = padded / 64 + 3;
      std::vector<float> x(static_cast<size_t>(rows * ld_x));
      for (float& v : x) v = normal(random);
      x[static_cast<size_t>(rows / 2 * ld_x + 1)] = kNan;
      std::vector<int8_t> codes(static_cast<size_t>(rows * ld_codes));
      std::vector<float> scales(static_cast<size_t>(rows * ld_groups));
      std::vector<int32_t> accumulator_start(scales.size());
      std::vector<uint16_t> bias_terms(2 * scales.size());
      k_.quantize(x.data(), ld_x, rows, n, 64, codes.data(), ld_codes,
                  {scales.data(), accumulator_start.data(), bias_terms.data()}, ld_groups);
      for (int64_t m = 0; m < rows; ++m) {
        const Quantized alone(k_, &x[static_cast<size_t>(m * ld_x)], n, 64);
        const auto same = [](const auto& a, const auto* b) {  // ignores the value past the last one
          return std::memcmp(a.data(), b, (a.size() - 1) * sizeof a[0]) == 0;
        };
        EXPECT_TRUE(same(alone.codes, &codes[static_cast<size_t>(m * ld_codes)])) << m << " of " << rows;
        EXPECT_TRUE(same(alone.scales, &scales[static_cast<size_t>(m * ld_groups)])) << m << " of " << rows;
        EXPECT_TRUE(same(alone.accumulator_start, &accumulator_start[static_cast<size_t>(m * ld_groups)]))
            << m << " of " << rows;
        EXPECT_TRUE(same(alone.bias_terms, &bias_terms[static_cast<size_t>(2 * m * ld_groups)]))
            << m << " of " << rows;
      }
    }
}

}  // namespace
}  // namespace mlxe::int8_kernels_test
