// Every kernel of bf16_table.h x every runnable variant x odd sizes x unaligned pointers, against the formula
// in double precision.
#include "kernels/bf16_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "base/cpu_features.h"
#include "base/half.h"
#include "larger_error.h"

namespace mlxe::bf16_kernels_test {
namespace {

constexpr double u = 0x1p-24;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

size_t at(int64_t i) {
  return static_cast<size_t>(i);
}

// M rows of activations, and the panels of weights for all columns.
struct Product {
  int64_t rows, depth, columns, ld_x, ld_y;
  std::vector<uint16_t> x, w;
  std::vector<float> from;

  Product(int64_t m, int64_t k, int64_t n) : rows(m), depth(k), columns(n), ld_x(k + 34), ld_y(n + 5) {
    std::mt19937 random(static_cast<uint32_t>(m * 1000 + k + n));
    std::normal_distribution<float> normal(0, 1);
    for (int64_t i = 0; i < rows * ld_x; ++i) x.push_back(float_to_bf16(normal(random)));
    for (int64_t i = 0; i < (columns + 31) / 32 * 32 * depth; ++i) w.push_back(float_to_bf16(normal(random)));
    for (int64_t i = 0; i < rows * ld_y; ++i) from.push_back(normal(random));
  }

  std::vector<float> operator()(const Bf16Kernels& kernels) const {
    std::vector<float> y(at(rows * ld_y), 77.0f);
    kernels.matmul(x.data(), ld_x, rows, w.data(), depth, from.data(), ld_y, y.data(), ld_y, columns);
    return y;
  }

  size_t weight(int64_t k, int64_t n) const { return at(n / 32 * 32 * depth + bf16_index(k, n % 32)); }

  // The largest error, in units of the tolerance: products are exact in float32 or rounded once, followed
  // by `depth` additions.
  double worst(const std::vector<float>& y) const {
    double worst = 0;
    for (int64_t m = 0; m < rows; ++m)
      for (int64_t n = 0; n < ld_y; ++n) {
        const double found = y[at(m * ld_y + n)];
        if (n >= columns) {
          EXPECT_EQ(found, 77.0) << "written past the columns";
          continue;
        }
        double sum = from[at(m * ld_y + n)], magnitude = std::abs(sum);
        for (int64_t k = 0; k < depth; ++k) {
          const double p =
              static_cast<double>(bf16_to_float(x[at(m * ld_x + k)])) * bf16_to_float(w[weight(k, n)]);
          sum += p, magnitude += std::abs(p);
        }
        worst = test::larger_error(worst,
                                   std::abs(found - sum) / (static_cast<double>(depth + 1) * u * magnitude));
      }
    return worst;
  }
};

class Bf16 : public testing::TestWithParam<Isa> {
 protected:
  const Bf16Kernels& k_ = bf16_kernels(GetParam());
};

INSTANTIATE_TEST_SUITE_P(, Bf16, testing::ValuesIn(runnable_variants().begin(), runnable_variants().end()),
                         [](const auto& parameter) { return std::string(name(parameter.param)); });

TEST_P(Bf16, MatmulIsTheSumOfProducts) {
  for (int64_t m : {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 50, 64})
    for (int64_t k : {32, 64, 160})
      for (int64_t n : {1, 15, 16, 17, 31, 32, 33, 48, 64, 100, 128}) {
        const Product p(m, k, n);
        EXPECT_LE(p.worst(p(k_)), 1) << m << "x" << k << "x" << n;
      }
}

// Damages the last bit of one weight, 2^-7 of the weight. The tolerance is 160 * 2^-24 of the sum of 160
// magnitudes. Then a result is NaN.
TEST_P(Bf16, MatmulToleranceSeesOneDamagedBit) {
  for (int64_t n : {0, 40, 63}) {
    Product p(17, 160, 64);
    p.x[at(3 * p.ld_x + 101)] = float_to_bf16(2);
    uint16_t& weight = p.w[p.weight(101, n)];
    weight = float_to_bf16(1.5f);
    std::vector<float> y = p(k_);
    weight ^= 1;
    EXPECT_GT(p.worst(y), 2) << n;
    weight ^= 1;
    y[at(n)] = kNan;
    EXPECT_FALSE(p.worst(y) <= 1) << n;
  }
}

TEST_P(Bf16, ARowHasTheSameBitsInAnyTile) {
  const Product all(83, 160, 128);
  const std::vector<float> together = all(k_);
  for (int64_t m = 0; m < all.rows; ++m)
    for (int64_t columns : {128, 83, 19}) {
      std::vector<float> alone(128);
      k_.matmul(&all.x[at(m * all.ld_x)], 0, 1, all.w.data(), all.depth, &all.from[at(m * all.ld_y)], 0,
                alone.data(), 0, columns);
      EXPECT_EQ(std::memcmp(alone.data(), &together[at(m * all.ld_y)], at(columns) * 4), 0) << m;
    }
}

// Slices of the depth, each added to the result of the previous one, give the bits of one pass.
TEST_P(Bf16, AddsInPlaceAndRepeatsOneRow) {
  Product p(21, 160, 64);
  const std::vector<float> expected = p(k_);
  std::vector<float> y = p.from;
  std::vector<uint16_t> parts[2];
  for (int64_t panel = 0; panel < 2; ++panel) {
    const auto first = p.w.begin() + panel * 32 * p.depth;
    parts[0].insert(parts[0].end(), first, first + 32 * 64);
    parts[1].insert(parts[1].end(), first + 32 * 64, first + 32 * p.depth);
  }
  k_.matmul(p.x.data(), p.ld_x, p.rows, parts[0].data(), 64, y.data(), p.ld_y, y.data(), p.ld_y, 64);
  k_.matmul(p.x.data() + 64, p.ld_x, p.rows, parts[1].data(), 96, y.data(), p.ld_y, y.data(), p.ld_y, 64);
  for (int64_t m = 0; m < p.rows; ++m)
    EXPECT_EQ(std::memcmp(&y[at(m * p.ld_y)], &expected[at(m * p.ld_y)], 256), 0) << m;
  for (int64_t m = 1; m < p.rows; ++m) std::copy_n(p.from.begin(), p.ld_y, p.from.begin() + m * p.ld_y);
  const std::vector<float> repeated = p(k_);
  k_.matmul(p.x.data(), p.ld_x, p.rows, p.w.data(), p.depth, p.from.data(), 0, y.data(), p.ld_y, 64);
  for (int64_t m = 0; m < p.rows; ++m)
    EXPECT_EQ(std::memcmp(&y[at(m * p.ld_y)], &repeated[at(m * p.ld_y)], 256), 0) << m;
}

TEST_P(Bf16, NanAndInfinityStayInTheirRow) {
  for (float value : {kNan, std::numeric_limits<float>::infinity()}) {
    Product p(18, 64, 32);
    p.x[at(5 * p.ld_x + 40)] = float_to_bf16(value);
    const std::vector<float> y = p(k_);
    for (int64_t m = 0; m < p.rows; ++m)
      for (int64_t n = 0; n < 32; ++n) EXPECT_EQ(std::isfinite(y[at(m * p.ld_y + n)]), m != 5);
  }
}

// Codes of one panel, with scales and biases as MLX makes them: values around zero.
struct Panel {
  int64_t groups;
  int group;
  std::vector<uint8_t> codes, table;
  std::vector<float> scales, biases;
  bool half;

  Panel(int64_t count, int size, bool two_to_a_byte) : groups(count), group(size), half(two_to_a_byte) {
    std::mt19937 random(static_cast<uint32_t>(count * size));
    codes.resize(at(groups * group * (half ? 16 : 32)));
    for (uint8_t& c : codes) c = static_cast<uint8_t>(random());
    for (int i = 0; i < 16; ++i) table.push_back(static_cast<uint8_t>(random() % 25));
    const int top = half ? 24 : 255;
    for (int64_t i = 0; i < groups * 32; ++i) {
      scales.push_back(static_cast<float>(1 + random() % 100) * 1e-4f);
      biases.push_back(-scales.back() * static_cast<float>(random() % static_cast<uint32_t>(top)));
    }
  }
  int code(int64_t k, int64_t n) const {
    if (!half) return codes[at((k / 4 * 32 + n) * 4 + k % 4)];
    const uint8_t pair = codes[at(k / 4 * 64 + n % 16 * 4 + k % 4)];
    return table[n < 16 ? pair & 15 : pair >> 4];
  }
  std::vector<uint16_t> operator()(const Bf16Kernels& kernels) const {
    std::vector<uint16_t> w(at(groups * group * 32) + 1, 7777);
    kernels.decode({codes.data(), scales.data(), biases.data()}, half ? table.data() : nullptr, groups, group,
                   w.data());
    return w;
  }
};

TEST_P(Bf16, DecodeRoundsWhatTheCodesStandFor) {
  for (bool half : {false, true})
    for (int group : {16, 32, 64})
      for (int64_t groups : {4, 6, 8}) {
        if (groups * group % 64 != 0) continue;
        const Panel p(groups, group, half);
        const std::vector<uint16_t> w = p(k_);
        EXPECT_EQ(w.back(), 7777);
        for (int64_t k = 0; k < groups * group; ++k)
          for (int64_t n = 0; n < 32; ++n) {
            const size_t g = at(k / group * 32 + n);
            const double exact = static_cast<double>(p.scales[g]) * p.code(k, n) + p.biases[g];
            // Half a unit of bfloat16, plus the roundings of bias - 256 scale, of the product and of their
            // sum.
            const double bound =
                0x1p-8 * std::abs(exact) + u * (2 * std::abs(p.biases[g]) + 512 * std::abs(p.scales[g]));
            const double found = bf16_to_float(w[at(bf16_index(k, n))]);
            ASSERT_LE(std::abs(found - exact), bound) << k << ", " << n << " of group " << group;
            // The twin: a code that is off by four. (Half a unit of bfloat16 may be one scale.)
            ASSERT_GT(std::abs(found - exact - 4 * p.scales[g]), bound)
                << k << ", " << n << " of group " << group;
          }
      }
}

TEST_P(Bf16, RoundGivesTheNearestAndZerosAfter) {
  std::mt19937 random(9);
  std::normal_distribution<float> normal(0, 3);
  for (int64_t n : {1, 7, 8, 15, 16, 31, 32, 33, 48, 63, 64, 65, 100, 384}) {
    std::vector<float> x(at(n) + 1);
    for (float& v : x) v = normal(random);
    x[at(n)] = n % 3 == 0 ? kNan : n % 3 == 1 ? -std::numeric_limits<float>::infinity() : 1.00390625f;
    const int64_t padded = (n + 63) / 64 * 64;
    std::vector<uint16_t> out(at(padded) + 1, 7777);
    k_.round(x.data() + 1, n, out.data());
    EXPECT_EQ(out.back(), 7777);
    for (int64_t i = 0; i < padded; ++i) {
      if (i < n && std::isnan(x[at(i + 1)]))
        EXPECT_TRUE(std::isnan(bf16_to_float(out[at(i)])));
      else
        EXPECT_EQ(out[at(i)], i < n ? float_to_bf16(x[at(i + 1)]) : 0) << i << " of " << n;
    }
  }
}

// Variants that have the kernel; the others use those of table.h.
std::vector<Isa> variants_with(bool (*has)(const Bf16Kernels&)) {
  std::vector<Isa> found;
  for (Isa isa : runnable_variants())
    if (has(bf16_kernels(isa))) found.push_back(isa);
  return found;
}

class Bf16Gelu : public Bf16 {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Bf16Gelu);
INSTANTIATE_TEST_SUITE_P(, Bf16Gelu, testing::ValuesIn(variants_with([](const Bf16Kernels& k) {
                           return k.gelu_erf != nullptr;
                         })),
                         [](const auto& parameter) { return std::string(name(parameter.param)); });

class Bf16Attention : public Bf16 {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Bf16Attention);
INSTANTIATE_TEST_SUITE_P(, Bf16Attention, testing::ValuesIn(variants_with([](const Bf16Kernels& k) {
                           return k.attend != nullptr;
                         })),
                         [](const auto& parameter) { return std::string(name(parameter.param)); });

TEST_P(Bf16Gelu, IsWithinAMillionth) {
  std::vector<float> x;
  for (double v = -12; v < 12; v += 0.0137) x.push_back(static_cast<float>(v));
  std::vector<float> y = x;
  y.push_back(77);
  k_.gelu_erf(y.data(), 0, 1, static_cast<int64_t>(x.size()));
  EXPECT_EQ(y.back(), 77);
  double worst = 0, damaged = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = 0.5 * x[i] * std::erfc(-x[i] / std::sqrt(2.0));
    const double tanh_form =
        0.5 * x[i] * (1 + std::tanh(std::sqrt(2 / M_PI) * (x[i] + 0.044715 * x[i] * x[i] * x[i])));
    worst = test::larger_error(worst, std::abs(y[i] - exact));
    damaged = std::max(damaged, std::abs(y[i] - tanh_form));  // the twin: the other formula
  }
  // 6e-7 for the fit, plus the rounding of values up to 12.
  EXPECT_LE(worst, 6e-7 + 2 * u * 12);
  EXPECT_GT(damaged, 1e-4);
  for (float v : {kNan, std::numeric_limits<float>::infinity()}) {
    k_.gelu_erf(&v, 0, 1, 1);
    EXPECT_FALSE(std::isfinite(v));
  }
}

struct Heads {
  int64_t tokens, size, ld;
  std::vector<float> q, k, v;
  float slope = 0;           // of linear biases
  std::vector<float> terms;  // added to the scores
  ptrdiff_t ld_terms = 0;
  float terms_factor = 1;

  // Of distances alone: each query's begin one before those of the query before.
  const float* first_term() const { return terms.data() + (ld_terms < 0 ? tokens - 1 : 0); }

  Heads(int64_t n, int64_t head_size) : tokens(n), size(head_size), ld(3 * head_size + 5) {
    std::mt19937 random(static_cast<uint32_t>(n + head_size));
    std::normal_distribution<float> normal(0, 1);
    for (auto* m : {&q, &k, &v}) {
      m->resize(static_cast<size_t>(tokens * ld));
      for (float& x : *m) x = normal(random);
    }
  }

  std::vector<float> operator()(const Bf16Kernels& kernels) const {
    std::vector<float> out(static_cast<size_t>(tokens * size) + 1, 77.0f);
    std::vector<uint8_t> memory(static_cast<size_t>(kernels.attend_bytes(tokens, size)) + 128, 0xee);
    uint8_t* scratch = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64);
    const auto past = static_cast<size_t>(scratch + kernels.attend_bytes(tokens, size) - memory.data());
    kernels.attend(
        {q.data(), k.data(), v.data(), ld, tokens, tokens, size, 1 / std::sqrt(static_cast<float>(size)),
         out.data(), size, slope, terms.empty() ? nullptr : first_term(), ld_terms, terms_factor},
        scratch);
    EXPECT_EQ(out.back(), 77.0f);
    for (size_t i = past; i < memory.size(); ++i) EXPECT_EQ(memory[i], 0xee) << "written past the scratch";
    out.pop_back();
    return out;
  }

  // The largest error of an output, in units of the tolerance. bfloat16 rounds to 2^-9. A score of `size`
  // products of two rounded values is off by about 2^-8.5 sqrt(sum (q k)^2) / sqrt(size); three times that
  // is allowed. The changed weights, and the rounding of weights and values, add errors in proportion to
  // the largest value.
  double worst(const std::vector<float>& out, bool swap = false) const {
    double worst = 0;
    for (int64_t i = 0; i < tokens; ++i) {
      std::vector<double> w(static_cast<size_t>(tokens));
      double top = -1e300, sum = 0, noise = 0;
      for (int64_t j = 0; j < tokens; ++j) {
        double s = 0, squares = 0;
        const int64_t key = swap && j < 2 && tokens > 1 ? 1 - j : j;
        for (int64_t d = 0; d < size; ++d) {
          const double p = static_cast<double>(q[static_cast<size_t>(i * ld + d)]) *
                           static_cast<double>(k[static_cast<size_t>(key * ld + d)]);
          s += p, squares += p * p;
        }
        w[static_cast<size_t>(j)] = s / std::sqrt(static_cast<double>(size)) -
                                    static_cast<double>(slope) * static_cast<double>(std::abs(i - j));
        if (!terms.empty())
          w[static_cast<size_t>(j)] +=
              static_cast<double>(terms_factor) * static_cast<double>(first_term()[i * ld_terms + j]);
        noise = std::max(noise, std::sqrt(squares / static_cast<double>(size)));
        top = std::max(top, w[static_cast<size_t>(j)]);
      }
      for (double& x : w) sum += x = std::exp(x - top);
      for (int64_t d = 0; d < size; ++d) {
        double expected = 0, largest = 0;
        for (int64_t j = 0; j < tokens; ++j) {
          const double value = v[static_cast<size_t>(j * ld + d)];
          expected += w[static_cast<size_t>(j)] / sum * value;
          largest = std::max(largest, std::abs(value));
        }
        const double allowed = 0x1p-8 * (1 + 3 * noise) * largest;
        worst =
            test::larger_error(worst, std::abs(out[static_cast<size_t>(i * size + d)] - expected) / allowed);
      }
    }
    return worst;
  }
};

TEST_P(Bf16Attention, IsTheSoftmaxOfScoresTimesValues) {
  for (int64_t size : {32, 64, 96, 128})
    for (int64_t n : {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 130}) {
      const Heads heads(n, size);
      std::vector<float> out = heads(k_);
      EXPECT_LE(heads.worst(out), 1) << n << " tokens of " << size;
      out.back() = kNan;
      EXPECT_FALSE(heads.worst(out) <= 1);
      if (n == 1 || n > 20) continue;
      EXPECT_GT(heads.worst(heads(k_), true), 2) << "two keys swapped, " << n;
    }
}

TEST_P(Bf16Attention, HasLinearBiases) {
  for (int64_t size : {32, 64})
    for (int64_t n : {1, 2, 8, 9, 17, 33, 65, 130})
      for (const float slope : {0.5f, 0.0625f}) {
        Heads heads(n, size);
        heads.slope = slope;
        const std::vector<float> out = heads(k_);
        EXPECT_LE(heads.worst(out), 1) << n << " tokens of " << size;
        if (n < 8) continue;
        heads.slope *= 2;  // the twin
        EXPECT_GT(heads.worst(out), 2) << "another slope, " << n;
      }
}

TEST_P(Bf16Attention, HasTermsOfItsOwn) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 2);
  for (int64_t size : {32, 64})
    for (int64_t n : {1, 2, 8, 9, 16, 17, 33, 65, 130})
      for (const bool of_distances : {false, true}) {
        Heads heads(n, size);
        heads.ld_terms = of_distances ? -1 : n + 3;
        // Ends with the last term that may be read.
        heads.terms.resize(static_cast<size_t>(of_distances ? 2 * n - 1 : (n - 1) * heads.ld_terms + n));
        for (float& term : heads.terms) term = normal(random);
        heads.terms_factor = 0.25f;
        const std::vector<float> out = heads(k_);
        EXPECT_LE(heads.worst(out), 1) << n << " tokens of " << size;
        if (n < 8) continue;
        heads.terms_factor *= 4;  // the twin
        EXPECT_GT(heads.worst(out), 2) << "another factor, " << n;
      }
}

TEST_P(Bf16Attention, AQueryHasTheSameBitsWithAndWithoutOthers) {
  Heads heads(37, 32);
  const std::vector<float> all = heads(k_);
  for (int64_t i = 0; i < 37; ++i) {
    Heads moved = heads;  // starts at query i
    for (int64_t d = 0; d < 32; ++d)
      std::swap(moved.q[static_cast<size_t>(d)], moved.q[static_cast<size_t>(i * heads.ld + d)]);
    const std::vector<float> found = moved(k_);
    EXPECT_EQ(std::memcmp(found.data(), &all[static_cast<size_t>(i * 32)], 128), 0) << i;
  }
}

TEST_P(Bf16Attention, CarriesNan) {
  for (int which : {0, 1, 2}) {
    Heads heads(20, 32);
    (which == 0 ? heads.q : which == 1 ? heads.k : heads.v)[static_cast<size_t>(5 * heads.ld + 3)] = kNan;
    const std::vector<float> out = heads(k_);
    for (int64_t i = 0; i < 20; ++i)
      EXPECT_EQ(std::isnan(out[static_cast<size_t>(i * 32 + 3)]), which != 0 || i == 5) << which << ", " << i;
  }
}

}  // namespace
}  // namespace mlxe::bf16_kernels_test
