// Every kernel of table.h x every runnable variant x odd sizes x unaligned pointers, against the same formula
// in double precision; and the guarantees of table.h bit for bit.
//
// u = 2^-24 bounds the relative error of one float32 operation. Tolerances follow from u. For long sums
// they are far above the real errors. For each tolerance, a twin test damages one input or term and must
// exceed it.
#include "kernels/table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "base/cpu_features.h"
#include "larger_error.h"

namespace mlxe::kernels_test {
namespace {

constexpr double u = 0x1p-24;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
const std::vector<int64_t> kSizes{1, 2, 3, 5, 8, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129, 384, 777};

std::vector<float> randoms(int64_t n, uint32_t seed, float deviation = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> v(static_cast<size_t>(n));
  for (float& x : v) x = normal(random);
  return v;
}

// n floats at 4 bytes past a 64-byte boundary, surrounded by NaN. A read past the end makes the result NaN;
// a write past the end makes intact() false.
class Guarded {
 public:
  explicit Guarded(int64_t n) : n_(n), memory_(static_cast<size_t>(n) + 2 * kGuard, kNan) {
    const auto address = reinterpret_cast<uintptr_t>(memory_.data() + kGuard);
    offset_ = kGuard - (address % 64) / sizeof(float) + 1;
  }
  explicit Guarded(const std::vector<float>& v) : Guarded(static_cast<int64_t>(v.size())) {
    std::copy(v.begin(), v.end(), data());
  }
  float* data() { return memory_.data() + offset_; }
  float& operator[](int64_t i) { return data()[i]; }
  bool intact() const {
    for (size_t i = 0; i < memory_.size(); ++i)
      if ((i < offset_ || i >= offset_ + static_cast<size_t>(n_)) && !std::isnan(memory_[i])) return false;
    return true;
  }

 private:
  static constexpr size_t kGuard = 128;
  int64_t n_;
  std::vector<float> memory_;
  size_t offset_;
};

bool same_bits(const float* a, const float* b, int64_t n) {
  return std::memcmp(a, b, static_cast<size_t>(n) * sizeof(float)) == 0;
}

class EveryVariant : public testing::TestWithParam<Isa> {
 protected:
  const Kernels& k_ = kernels(GetParam());
};

INSTANTIATE_TEST_SUITE_P(, EveryVariant,
                         testing::ValuesIn(runnable_variants().begin(), runnable_variants().end()),
                         [](const auto& parameter) { return std::string(name(parameter.param)); });

// ---- matmul

struct Product {
  int64_t rows, k, columns, ld_x, ld_w, ld_y;
  std::vector<float> x, w, from;

  Product(const Kernels& kernels, int64_t m, int64_t depth, int64_t n)
      : rows(m), k(depth), columns(n), ld_x(k + 3), ld_w(kernels.panel + 1), ld_y(n + 5) {
    x = randoms(rows * ld_x, 1), w = randoms(k * ld_w, 2), from = randoms(rows * ld_y, 3);
  }
  std::vector<float> operator()(const Kernels& kernels) const {
    Guarded gx(x), gw(w), gf(from), gy(std::vector<float>(static_cast<size_t>(rows * ld_y), 77.0f));
    kernels.matmul(gx.data(), ld_x, rows, gw.data(), ld_w, k, gf.data(), ld_y, gy.data(), ld_y, columns);
    EXPECT_TRUE(gy.intact());
    return {gy.data(), gy.data() + rows * ld_y};
  }
  // The largest error, in units of the tolerance. The error of a sum of k products and one addition, each
  // rounded, is at most (k + 2) u times the sum of magnitudes (Higham, Accuracy and Stability, 3.1).
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
        for (int64_t i = 0; i < k; ++i) {
          const double term = static_cast<double>(x[static_cast<size_t>(m * ld_x + i)]) *
                              static_cast<double>(w[static_cast<size_t>(i * ld_w + n)]);
          sum += term;
          magnitude += std::abs(term);
        }
        worst =
            test::larger_error(worst, std::abs(found - sum) / (static_cast<double>(k + 2) * u * magnitude));
      }
    return worst;
  }
};

TEST_P(EveryVariant, MatmulIsTheSumOfProducts) {
  for (int64_t m : {1, 2, 3, 5, 6, 7, 11, 12, 13, 17, 31, 33})
    for (int64_t depth : kSizes)
      for (int64_t n : {1, 3, k_.panel - 1, k_.panel}) {
        Product p(k_, m, depth, n);
        EXPECT_LE(p.worst(p(k_)), 1) << m << "x" << depth << "x" << n;
      }
}

TEST_P(EveryVariant, MatmulToleranceSeesOneDamagedWeight) {
  for (int64_t depth : kSizes) {
    Product p(k_, 13, depth, k_.panel);
    std::vector<float> y = p(k_);
    float& weight = p.w[static_cast<size_t>(depth / 2 * p.ld_w + 1)];
    const float before = std::exchange(weight, weight + 1.0f);  // a typical weight's size
    EXPECT_GT(p.worst(y), 2) << depth;
    weight = before;
    y[0] = kNan;
    EXPECT_FALSE(p.worst(y) <= 1) << depth;
  }
}

TEST_P(EveryVariant, MatmulOfARowHasTheSameBitsInAnyBlock) {
  const int64_t rows = 40;
  Product all(k_, rows, 257, k_.panel);
  const std::vector<float> together = all(k_);
  for (int64_t m = 0; m < rows; ++m)
    for (int64_t columns : {k_.panel, k_.panel / 2 + 1}) {
      std::vector<float> alone(static_cast<size_t>(k_.panel));
      k_.matmul(&all.x[static_cast<size_t>(m * all.ld_x)], 0, 1, all.w.data(), all.ld_w, all.k,
                &all.from[static_cast<size_t>(m * all.ld_y)], 0, alone.data(), 0, columns);
      EXPECT_TRUE(same_bits(alone.data(), &together[static_cast<size_t>(m * all.ld_y)], columns)) << m;
    }
}

TEST_P(EveryVariant, MatmulAddsInPlaceAndRepeatsOneRow) {
  Product p(k_, 14, 33, k_.panel);
  const std::vector<float> expected = p(k_);
  std::vector<float> y = p.from;
  k_.matmul(p.x.data(), p.ld_x, p.rows, p.w.data(), p.ld_w, p.k, y.data(), p.ld_y, y.data(), p.ld_y,
            p.columns);
  for (int64_t m = 0; m < p.rows; ++m)
    EXPECT_TRUE(same_bits(&y[static_cast<size_t>(m * p.ld_y)], &expected[static_cast<size_t>(m * p.ld_y)],
                          p.columns));
  for (int64_t m = 1; m < p.rows; ++m) std::copy_n(p.from.begin(), p.ld_y, p.from.begin() + m * p.ld_y);
  const std::vector<float> repeated = p(k_);
  k_.matmul(p.x.data(), p.ld_x, p.rows, p.w.data(), p.ld_w, p.k, p.from.data(), 0, y.data(), p.ld_y,
            p.columns);
  for (int64_t m = 0; m < p.rows; ++m)
    EXPECT_TRUE(same_bits(&y[static_cast<size_t>(m * p.ld_y)], &repeated[static_cast<size_t>(m * p.ld_y)],
                          p.columns));
}

TEST_P(EveryVariant, MatmulCarriesNanOfItsRowOnly) {
  Product p(k_, 13, 65, k_.panel);
  p.x[static_cast<size_t>(7 * p.ld_x + 64)] = kNan;
  const std::vector<float> y = p(k_);
  for (int64_t m = 0; m < p.rows; ++m)
    for (int64_t n = 0; n < p.columns; ++n)
      EXPECT_EQ(std::isnan(y[static_cast<size_t>(m * p.ld_y + n)]), m == 7) << m << ", " << n;
}

TEST_P(EveryVariant, PackTransposesAndPadsWithZeros) {
  for (int64_t columns : kSizes)
    for (int64_t rows = 1; rows <= k_.panel; rows += rows < 4 ? 1 : 5) {
      const int64_t ld = columns + 7;
      Guarded in(randoms((rows - 1) * ld + columns, 5)), tile(columns * k_.panel);
      k_.pack(in.data(), ld, rows, columns, tile.data());
      for (int64_t k = 0; k < columns; ++k)
        for (int64_t n = 0; n < k_.panel; ++n)
          ASSERT_EQ(tile[k * k_.panel + n], n < rows ? in[n * ld + k] : 0.0f) << columns << " " << rows;
      EXPECT_TRUE(tile.intact());
    }
}

// ---- rows

TEST_P(EveryVariant, ElementwiseKernelsRoundOnce) {
  for (int64_t n : kSizes) {
    Guarded a(randoms(n, 1)), b(randoms(n, 2)), sum(n), scaled(n), multiplied(n), added(randoms(n, 3)),
        most(randoms(n, 4));
    const std::vector<float> before(added.data(), added.data() + n), other(most.data(), most.data() + n);
    k_.add(a.data(), b.data(), n, sum.data());
    k_.scale(a.data(), 0.3f, n, scaled.data());
    k_.multiply(a.data(), b.data(), n, multiplied.data());
    k_.add_scaled(a.data(), 0.3f, n, added.data());
    k_.max_into(a.data(), n, most.data());
    for (int64_t i = 0; i < n; ++i) {
      EXPECT_EQ(sum[i], a[i] + b[i]);
      EXPECT_EQ(scaled[i], a[i] * 0.3f);
      EXPECT_EQ(multiplied[i], a[i] * b[i]);
      // Fused or not: one or two roundings.
      const double product = static_cast<double>(a[i]) * static_cast<double>(0.3f);
      const double exact = static_cast<double>(before[static_cast<size_t>(i)]) + product;
      EXPECT_NEAR(added[i], exact, u * (std::abs(product) + std::abs(exact)));
      EXPECT_EQ(most[i], std::max(a[i], other[static_cast<size_t>(i)]));
    }
    EXPECT_TRUE(sum.intact() && scaled.intact() && multiplied.intact() && added.intact() && most.intact());
    k_.add(a.data(), b.data(), n, a.data());  // in place
    EXPECT_TRUE(same_bits(a.data(), sum.data(), n));
  }
}

TEST_P(EveryVariant, MaxKeepsNanOnEitherSide) {
  Guarded x(std::vector<float>(37, 1.0f)), out(std::vector<float>(37, 2.0f));
  x[3] = x[36] = kNan;
  out[4] = out[35] = kNan;
  k_.max_into(x.data(), 37, out.data());
  for (int64_t i : {3, 4, 35, 36}) EXPECT_TRUE(std::isnan(out[i])) << i;
  EXPECT_EQ(out[5], 2.0f);
}

// Layer norm in double; `divisor` is n, or n - 1 for the twin.
std::vector<double> exact_layer_norm(Guarded& x, Guarded& w, Guarded& b, double epsilon, int64_t n,
                                     double divisor, double& spread) {
  double mean = 0, variance = 0, largest = 0;
  for (int64_t i = 0; i < n; ++i) mean += x[i];
  mean /= static_cast<double>(n);
  for (int64_t i = 0; i < n; ++i)
    variance += (x[i] - mean) * (x[i] - mean), largest = std::max<double>(largest, std::abs(x[i]));
  const double deviation = std::sqrt(variance / divisor + epsilon);
  spread = largest / deviation;
  std::vector<double> y;
  for (int64_t i = 0; i < n; ++i) y.push_back((x[i] - mean) / deviation * w[i] + b[i]);
  return y;
}

// The error of each sum is at most n u times the magnitude of its terms: for the mean relative to the
// largest value, for the variance relative to itself and halved by the root. Eight more roundings follow.
TEST_P(EveryVariant, LayerNormIsBiasedAndHasEpsilonInsideTheRoot) {
  for (int64_t n : kSizes)
    for (float shift : {0.0f, 30.0f})
      for (float epsilon : {1e-12f, 1e-5f, 0.5f}) {
        std::vector<float> values = randoms(n, 1);
        for (float& v : values) v += shift;
        if (n == 1 && epsilon < 0.1f) continue;  // 0 / sqrt(epsilon): all rounding
        Guarded x(values), w(randoms(n, 2)), b(randoms(n, 3)), y(n);
        k_.norm(x.data(), nullptr, w.data(), b.data(), epsilon, true, n, y.data());
        double spread, ignored, farthest = 0;
        const auto exact = exact_layer_norm(x, w, b, epsilon, n, static_cast<double>(n), spread);
        const auto unbiased = exact_layer_norm(x, w, b, epsilon, n, static_cast<double>(n - 1), ignored);
        for (int64_t i = 0; i < n; ++i) {
          const auto at = static_cast<size_t>(i);
          const double tolerance =
              static_cast<double>(n + 8) * u * 2 * (spread * std::abs(w[i]) + std::abs(b[i]));
          EXPECT_NEAR(y[i], exact[at], tolerance) << n;
          farthest = std::max(farthest, std::abs(y[i] - unbiased[at]) / tolerance);
        }
        if (n > 1 && n < 64) {
          EXPECT_GT(farthest, 2) << "the tolerance would let n - 1 pass, n = " << n;
        }
        EXPECT_TRUE(y.intact());
        // layer_norm(a, b) gives the same as layer_norm(a + b).
        Guarded left(randoms(n, 4)), right(randoms(n, 5)), both(n), z(n);
        k_.add(left.data(), right.data(), n, both.data());
        k_.norm(both.data(), nullptr, w.data(), b.data(), epsilon, true, n, z.data());
        k_.norm(left.data(), right.data(), w.data(), b.data(), epsilon, true, n, left.data());
        EXPECT_TRUE(same_bits(left.data(), z.data(), n));
        EXPECT_TRUE(left.intact());
        k_.norm(x.data(), nullptr, w.data(), b.data(), epsilon, true, n, x.data());  // in place
        EXPECT_TRUE(same_bits(x.data(), y.data(), n));
      }
}

// As above without the mean: the twin is the norm with it.
TEST_P(EveryVariant, AnRmsNormKeepsTheMean) {
  for (int64_t n : kSizes)
    for (float shift : {0.0f, 30.0f})
      for (float epsilon : {1e-6f, 0.5f}) {
        std::vector<float> values = randoms(n, 1);
        for (float& v : values) v += shift;
        Guarded x(values), w(randoms(n, 2)), zeros(std::vector<float>(static_cast<size_t>(n))), y(n), z(n);
        k_.norm(x.data(), nullptr, w.data(), zeros.data(), epsilon, false, n, y.data());
        k_.norm(x.data(), nullptr, w.data(), zeros.data(), epsilon, true, n, z.data());
        double squares = 0, farthest = 0;
        for (int64_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * static_cast<double>(x[i]);
        const double length = std::sqrt(squares / static_cast<double>(n) + static_cast<double>(epsilon));
        for (int64_t i = 0; i < n; ++i) {
          const double exact = x[i] / length * w[i];
          const double tolerance = static_cast<double>(n + 8) * u * std::abs(exact);
          EXPECT_NEAR(y[i], exact, tolerance) << n;
          farthest = std::max(farthest, std::abs(z[i] - exact) - 2 * tolerance);
        }
        EXPECT_GT(farthest, 0) << "the tolerance would let a mean pass, n = " << n;
        EXPECT_TRUE(y.intact());
        Guarded left(randoms(n, 4)), right(randoms(n, 5)), both(n);
        k_.add(left.data(), right.data(), n, both.data());
        k_.norm(both.data(), nullptr, w.data(), zeros.data(), epsilon, false, n, z.data());
        k_.norm(left.data(), right.data(), w.data(), zeros.data(), epsilon, false, n, left.data());
        EXPECT_TRUE(same_bits(left.data(), z.data(), n));
        x[n / 2] = kNan;
        k_.norm(x.data(), nullptr, w.data(), zeros.data(), epsilon, false, n, x.data());
        for (int64_t i : {int64_t{0}, n / 2, n - 1}) EXPECT_TRUE(std::isnan(x[i])) << i;
      }
}

TEST_P(EveryVariant, SoftmaxIsTheShareOfExponentials) {
  for (int64_t n : kSizes)
    for (float spread : {0.1f, 3.0f, 40.0f}) {
      const std::vector<float> scores = randoms(n, 9, spread);
      const float factor = 0.176776695f;
      Guarded x(scores);
      k_.softmax(x.data(), factor, n);
      EXPECT_TRUE(x.intact());
      const double largest = *std::max_element(scores.begin(), scores.end());
      const double twin = 1.001 * static_cast<double>(factor);
      double sum = 0, total = 0, twin_sum = 0, farthest = 0;
      for (float s : scores) {
        sum += std::exp(static_cast<double>(factor) * (s - largest));
        twin_sum += std::exp(twin * (s - largest));
      }
      for (int64_t i = 0; i < n; ++i) {
        const double argument = static_cast<double>(factor) * (scores[static_cast<size_t>(i)] - largest);
        const double exact = std::exp(argument) / sum;
        // Two roundings of the argument; at most 4 u each for exp and for the sum's n terms; 2 u for the
        // quotient.
        const double tolerance = exact * u * (2 * std::abs(argument) + static_cast<double>(n) + 10);
        EXPECT_NEAR(x[i], exact, tolerance + 1e-37) << n;
        const double other = std::exp(twin * (scores[static_cast<size_t>(i)] - largest)) / twin_sum;
        farthest = std::max(farthest, std::abs(x[i] - other) / (tolerance + 1e-37));
        total += x[i];
      }
      EXPECT_NEAR(total, 1, static_cast<double>(n + 10) * 2 * u);
      if (n > 1 && spread > 1) {
        EXPECT_GT(farthest, 2) << "a factor that is 0.1 % off must show, n = " << n;
      }
    }
}

TEST_P(EveryVariant, SoftmaxOfExtremeScores) {
  for (int64_t n : kSizes) {
    Guarded x(std::vector<float>(static_cast<size_t>(n), -3e38f));
    x[n - 1] = 3e38f;
    k_.softmax(x.data(), 1, n);
    for (int64_t i = 0; i < n; ++i) EXPECT_NEAR(x[i], i == n - 1 ? 1 : 0, 1e-30) << n;
    x[n / 2] = kNan;
    k_.softmax(x.data(), 1, n);
    for (int64_t i = 0; i < n; ++i) EXPECT_TRUE(std::isnan(x[i])) << n;
  }
}

TEST_P(EveryVariant, NormalizeGivesUnitLengthAndLeavesZeroAlone) {
  for (int64_t n : kSizes) {
    Guarded x(randoms(n, 3)), y(n), zero(std::vector<float>(static_cast<size_t>(n), 0.0f));
    k_.normalize(x.data(), n, y.data());
    double squares = 0;
    for (int64_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
    for (int64_t i = 0; i < n; ++i)
      EXPECT_NEAR(y[i], x[i] / std::sqrt(squares), static_cast<double>(n + 4) * u * std::abs(y[i]));
    k_.normalize(zero.data(), n, zero.data());
    for (int64_t i = 0; i < n; ++i) EXPECT_EQ(zero[i], 0.0f);
    EXPECT_TRUE(y.intact() && zero.intact());
  }
}

// ---- non-linearities

struct Function {
  const char* name;
  ActivationKernel Kernels::*kernel;
  double (*exact)(double);
  // |error| <= relative u |f(x)| + absolute u |x|: see below.
  double relative, absolute;
};

double logistic(double x) {
  return 1 / (1 + std::exp(-x));
}

// Derivation: the error of exp is 4 u: a polynomial of small terms around 1, and the last bit of its
// argument, which the two-part ln 2 keeps below 1 u. A division and an addition add 2 u. If the argument of
// exp is a rounded product c x, exp makes its error u |c x| relative; the result then has the magnitude |x|
// e^-|c x|, so that a constant times u |x| is enough (the maximum of |c x| e^-|c x| is 0.37).
//   gelu_erf  additionally a polynomial of ten terms (R, 5 u) and its argument v (2 u)
const Function kFunctions[] = {
    {"relu", &Kernels::relu, [](double x) { return x < 0 ? 0 : x; }, 0, 0},
    {"gelu_erf", &Kernels::gelu_erf, [](double x) { return x * std::erfc(-x * std::sqrt(0.5)) / 2; }, 2, 2.5},
    {"gelu_tanh", &Kernels::gelu_tanh,
     [](double x) { return x * logistic(std::sqrt(8 / M_PI) * (x + 0.044715 * x * x * x)); }, 3, 4},
    {"gelu_quick", &Kernels::gelu_quick, [](double x) { return x * logistic(1.702 * x); }, 3, 3},
    {"silu", &Kernels::silu, [](double x) { return x * logistic(x); }, 3, 3},
    {"tanh", &Kernels::tanh, [](double x) { return std::tanh(x); }, 4, 0},
    {"sigmoid", &Kernels::sigmoid, logistic, 9, 0},
};

// Arguments of both signs and all magnitudes: dense near 0, sparse far from 0.
std::vector<float> arguments() {
  std::vector<float> x;
  for (int i = -400000; i <= 400000; ++i) x.push_back(static_cast<float>(i) * 5e-5f);
  for (float m = 20; m < 1e38f; m *= 1.37f) x.push_back(m), x.push_back(-m);
  for (float m = 1e-3f; m > 1e-37f; m *= 0.63f) x.push_back(m), x.push_back(-m);
  x.push_back(0.0f), x.push_back(-0.0f);
  return x;
}

TEST_P(EveryVariant, NonLinearitiesAreAccurate) {
  const std::vector<float> x = arguments();
  for (const Function& f : kFunctions) {
    std::vector<float> y = x;
    (k_.*f.kernel)(y.data(), 0, 1, static_cast<int64_t>(y.size()));
    double worst = 0, at = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = f.exact(x[i]), error = std::abs(y[i] - exact);
      const double allowed = u * (f.relative * std::abs(exact) + f.absolute * std::abs(x[i])) + 1e-37;
      if (!(error / allowed <= worst)) worst = error / allowed, at = x[i];
      if (std::isnan(worst)) break;
    }
    RecordProperty(f.name, std::to_string(worst));
    EXPECT_LE(worst, 1) << f.name << " at " << at;
  }
}

// The twin: the two GELUs differ by up to 5e-4, and the tolerance tells them apart.
TEST_P(EveryVariant, TheTolerancesTellTheGelusApart) {
  float x = 2.0f;
  k_.gelu_tanh(&x, 0, 1, 1);
  const Function& erf = kFunctions[1];
  EXPECT_GT(std::abs(x - erf.exact(2)), 100 * u * (erf.relative * erf.exact(2) + erf.absolute * 2));
}

TEST_P(EveryVariant, NonLinearitiesOfAnyShapeAndOfNan) {
  for (const Function& f : kFunctions)
    for (int64_t n : kSizes) {
      const int64_t rows = 3, ld = n + 2;
      Guarded x(randoms((rows - 1) * ld + n, 6));
      x[ld - 1] = 123.0f;  // between two rows
      std::vector<float> expected(x.data(), x.data() + (rows - 1) * ld + n);
      for (int64_t m = 0; m < rows; ++m)
        for (int64_t i = 0; i < n; ++i) (k_.*f.kernel)(&expected[static_cast<size_t>(m * ld + i)], 0, 1, 1);
      (k_.*f.kernel)(x.data(), ld, rows, n);
      EXPECT_TRUE(same_bits(x.data(), expected.data(), static_cast<int64_t>(expected.size())))
          << f.name << " " << n;
      EXPECT_TRUE(x.intact());
      x[n - 1] = kNan;
      (k_.*f.kernel)(x.data(), ld, 1, n);
      EXPECT_TRUE(std::isnan(x[n - 1])) << f.name;
    }
}

}  // namespace
}  // namespace mlxe::kernels_test
