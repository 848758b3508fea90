// Rounding by its effect on a layer's outputs, on synthetic layers with correlated inputs.
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/half.h"
#include "base/thread_pool.h"
#include "calibrate/activation_file.h"
#include "calibrate/channel_fit.h"
#include "calibrate/group_fit.h"
#include "calibrate/input_hessian.h"
#include "calibrate/moments.h"
#include "calibrate/rounding.h"
#include "engine_cpu/arena.h"
#include "kernels/table.h"
#include "mlx_encoder/error.h"
#include "model_folders.h"

namespace mlxe::calibrate::calibrate_test {
namespace {

constexpr int64_t kColumns = 128, kRows = 40, kTokens = 700;
constexpr Scheme kAffine4{.mode = Mode::affine, .bits = 4, .group_size = 32, .dtype = Dtype::f16};

// Tokens of `columns` values: mixtures of `sources` independent values, plus noise, plus a mean.
std::vector<float> inputs(int64_t columns, int64_t sources, float noise, unsigned seed) {
  const std::vector<float> mix = test::random_weights(static_cast<size_t>(sources * columns), seed, 1);
  const std::vector<float> drive = test::random_weights(static_cast<size_t>(kTokens * sources), seed + 1, 1);
  std::vector<float> x = test::random_weights(static_cast<size_t>(kTokens * columns), seed + 2, 1);
  for (int64_t t = 0; t < kTokens; ++t)
    for (int64_t c = 0; c < columns; ++c) {
      float sum = noise * x[static_cast<size_t>(t * columns + c)] + static_cast<float>(c % 5) - 2;
      for (int64_t s = 0; s < sources; ++s)
        sum += drive[static_cast<size_t>(t * sources + s)] * mix[static_cast<size_t>(s * columns + c)];
      x[static_cast<size_t>(t * columns + c)] = sum;
    }
  return x;
}

cpu::Tensor tensor(cpu::Arena& arena, const std::vector<float>& values, int64_t columns) {
  cpu::Tensor t = arena.tensor(static_cast<int64_t>(values.size()) / columns, columns);
  for (int64_t r = 0; r < t.rows(); ++r) std::copy_n(values.begin() + r * columns, columns, t.row(r));
  return t;
}

Moments moments_of(const std::vector<float>& original, const std::vector<float>& x, int64_t columns,
                   int threads = 1) {
  ThreadPool pool(threads);
  cpu::Arena arena;
  MomentSums sums(columns, 0, pool);
  const cpu::Tensor a = tensor(arena, original, columns), b = tensor(arena, x, columns);
  sums.add(b, a, b, std::vector<float>(static_cast<size_t>(b.rows()), 1.0f));
  return sums.finish();
}

Moments correlated() {
  const std::vector<float> x = inputs(kColumns, 20, 0.3f, 1);
  return moments_of(x, x, kColumns);
}

std::vector<float> weights() {
  return test::random_weights(static_cast<size_t>(kRows * kColumns), 7);
}

QuantizedMatrix plain(const std::vector<float>& values) {
  return quantize(std::as_bytes(std::span(values)), Dtype::f32, kRows, kColumns, kAffine4);
}

double cost(const std::vector<float>& target, const QuantizedMatrix& rounded, const InputHessian& hessian) {
  ThreadPool pool(1);
  return weighted_error(target, dequantize(rounded), hessian, pool);
}

QuantizedMatrix compensated(const std::vector<float>& target, const InputHessian& hessian, int threads = 1) {
  ThreadPool pool(threads);
  return gptq_quantize(target, hessian, kAffine4, pool);
}

TEST(Moments, AreThoseOfAPlainLoopInDouble) {
  const std::vector<float> x0 = inputs(kColumns, 9, 0.5f, 3), x = inputs(kColumns, 9, 0.5f, 4);
  const Moments m = moments_of(x0, x, kColumns);
  std::vector<double> mean(kColumns), mean0(kColumns);
  for (size_t i = 0; i < x.size(); ++i) {
    mean[i % kColumns] += static_cast<double>(x[i]) / kTokens;
    mean0[i % kColumns] += static_cast<double>(x0[i]) / kTokens;
  }
  // Centred inputs are at most about 20 and rounded to bfloat16. The error of a product of two is at most 400 * 2^-8 and
  // evenly distributed: a standard deviation of at most 0.6 of that. The standard deviation of the mean of 700 products
  // is smaller by sqrt(700). Five standard deviations are allowed. Differences (drift) are not larger.
  const double kTolerance = 5 * 0.6 * 400 / 256 / std::sqrt(kTokens);
  for (size_t a = 0; a < kColumns; ++a) {
    EXPECT_NEAR(m.mean[a], mean[a], 1e-6);
    EXPECT_NEAR(m.target_mean[a], mean0[a] - mean[a], 1e-6);
    for (size_t b = 0; b < kColumns; b += 7) {
      double covariance = 0, drift = 0;
      for (size_t t = 0; t < kTokens; ++t) {
        const double xa = static_cast<double>(x[t * kColumns + a]) - mean[a];
        const double xb = static_cast<double>(x[t * kColumns + b]) - mean[b];
        covariance += xa * xb / kTokens;
        drift += (static_cast<double>(x0[t * kColumns + a]) - mean0[a] - xa) * xb / kTokens;
      }
      EXPECT_NEAR(m.covariance[a * kColumns + b], covariance, kTolerance) << a << ", " << b;
      EXPECT_NEAR(m.cross[a * kColumns + b], drift, kTolerance) << a << ", " << b;
    }
  }
}

TEST(Moments, DoNotDependOnThreads) {
  const std::vector<float> x0 = inputs(kColumns, 9, 0.5f, 3), x = inputs(kColumns, 9, 0.5f, 4);
  const Moments one = moments_of(x0, x, kColumns, 1), three = moments_of(x0, x, kColumns, 3);
  EXPECT_EQ(one.mean, three.mean);
  EXPECT_EQ(one.covariance, three.covariance);
  EXPECT_EQ(one.cross, three.cross);
}

TEST(Moments, RefuseNaN) {
  std::vector<float> x = inputs(kColumns, 9, 0.5f, 3);
  x[1000] = NAN;
  try {
    moments_of(x, x, kColumns);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::numeric);
    EXPECT_THAT(e.what(), testing::HasSubstr("NaN"));
  }
}

// Tokens at the same distance above and below their mean. Every product is the same number, so that
// rounding errors of a sum always have the same sign.
TEST(Moments, KeepSmallProductsOfManyTokens) {
  constexpr int64_t kPart = 500, kParts = 240, kFew = 8;
  constexpr float kAside = 0.7109375f;  // 91 / 128: exact in bfloat16
  ThreadPool pool(1);
  cpu::Arena arena;
  MomentSums sums(kFew, 0, pool);
  cpu::Tensor x = arena.tensor(kPart, kFew);
  for (int64_t t = 0; t < kPart; ++t) std::fill_n(x.row(t), kFew, t % 2 == 0 ? kAside : -kAside);
  for (int64_t part = 0; part < kParts; ++part) sums.add(x, x, x, std::vector<float>(kPart, 1.0f));
  const Moments m = sums.finish();
  // The sum of a part is exact (500 * 91^2 < 2^24). Adding it to the earlier sum rounds by at most half a unit in the
  // last place.
  const double variance = static_cast<double>(kAside) * static_cast<double>(kAside);
  const double tolerance = kParts * 0x1p-24 * variance;
  EXPECT_NEAR(m.covariance[kFew + 2], variance, tolerance);
  // The twin: one sum of all products, two tokens at a time.
  float one_sum = 0;
  for (int64_t pair = 0; pair < kPart * kParts / 2; ++pair) one_sum += 2 * kAside * kAside;
  EXPECT_GT(std::abs(static_cast<double>(one_sum) / (kPart * kParts) - variance), 10 * tolerance);
}

// A row of weight 2 counts as two rows. A row of weight 0 does not count.
TEST(Moments, WeighRows) {
  const std::vector<float> x0 = inputs(kColumns, 9, 0.5f, 3), x = inputs(kColumns, 9, 0.5f, 4);
  const auto weighed = [&](std::vector<float> original, std::vector<float> changed, auto&& weight) {
    ThreadPool pool(1);
    cpu::Arena arena;
    MomentSums sums(kColumns, 0, pool);
    const cpu::Tensor a = tensor(arena, original, kColumns), b = tensor(arena, changed, kColumns);
    std::vector<float> weights;
    for (int64_t t = 0; t < b.rows(); ++t) weights.push_back(weight(t));
    sums.add(b, a, b, weights);
    return sums.finish();
  };
  constexpr int64_t kTwice = 100;
  std::vector<float> more0 = x0, more = x;
  more0.insert(more0.end(), x0.begin(), x0.begin() + kTwice * kColumns);
  more.insert(more.end(), x.begin(), x.begin() + kTwice * kColumns);
  const Moments repeated = weighed(more0, more, [](int64_t) { return 1.0f; });
  const Moments twice = weighed(x0, x, [](int64_t t) { return t < kTwice ? 2.0f : 1.0f; });
  const Moments equal = weighed(x0, x, [](int64_t) { return 1.0f; });
  const Moments none = weighed(more0, more, [](int64_t t) { return t < kTokens ? 3.0f : 0.0f; });
  const auto distance = [](const std::vector<float>& a, const std::vector<float>& b) {
    double d = 0, size = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      d += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
      size += std::pow(static_cast<double>(a[i]), 2);
    }
    return std::sqrt(d / size);
  };
  // Values are rounded to bfloat16 at other places: 2^-9 of each factor, averaged over hundreds of tokens.
  // The twin, equal weights, is off by more.
  constexpr double kTolerance = 2e-3;
  EXPECT_LT(distance(repeated.covariance, twice.covariance), kTolerance);
  EXPECT_LT(distance(repeated.cross, twice.cross), kTolerance);
  EXPECT_LT(distance(equal.covariance, none.covariance), kTolerance);
  EXPECT_GT(distance(repeated.covariance, equal.covariance), 5 * kTolerance);
  EXPECT_NEAR(repeated.mean[5], twice.mean[5], 1e-5);
  EXPECT_NEAR(repeated.target_mean[5], twice.target_mean[5], 1e-5);
}

// The error with compensation is a quarter of that of round-to-nearest on this layer, at most. The twins
// below show that each part of the Hessian is needed.
constexpr double kGain = 0.25;

TEST(Compensation, CostsAFractionOfPlainRounding) {
  const InputHessian hessian(correlated());
  const std::vector<float> w = weights();
  EXPECT_LT(cost(w, compensated(w, hessian), hessian), kGain * cost(w, plain(w), hessian));
}

TEST(Compensation, WithAShuffledHessianDoesNot) {
  Moments shuffled = correlated();
  std::vector<int64_t> order(kColumns);
  for (int64_t c = 0; c < kColumns; ++c) order[static_cast<size_t>(c)] = (c * 37 + 11) % kColumns;
  const std::vector<float> covariance = shuffled.covariance;
  for (int64_t r = 0; r < kColumns; ++r)
    for (int64_t c = 0; c < kColumns; ++c)
      shuffled.covariance[static_cast<size_t>(r * kColumns + c)] = covariance[static_cast<size_t>(
          order[static_cast<size_t>(r)] * kColumns + order[static_cast<size_t>(c)])];
  const InputHessian hessian(correlated()), wrong(std::move(shuffled));
  const std::vector<float> w = weights();
  EXPECT_GT(cost(w, compensated(w, wrong), hessian), kGain * cost(w, plain(w), hessian));
}

TEST(Compensation, WithWrongDampingDoesNot) {
  const InputHessian hessian(correlated()), wrong(correlated(), 100);
  const std::vector<float> w = weights();
  EXPECT_GT(cost(w, compensated(w, wrong), hessian), kGain * cost(w, plain(w), hessian));
}

TEST(Compensation, WithTwoGroupsSwappedDoesNot) {
  const InputHessian hessian(correlated());
  const std::vector<float> w = weights();
  QuantizedMatrix m = compensated(w, hessian);
  for (std::vector<std::byte>* piece : {&m.scales, &m.biases})
    std::swap_ranges(piece->begin(), piece->begin() + 2, piece->begin() + 2);  // float16: 2 bytes a group
  EXPECT_GT(cost(w, m, hessian), kGain * cost(w, plain(w), hessian));
}

TEST(Compensation, WhereInputsAreIndependentIsRoundingToTheNearest) {
  Moments independent{.columns = kColumns, .tokens = kTokens};
  independent.mean = independent.target_mean = std::vector<double>(kColumns);
  independent.covariance.resize(static_cast<size_t>(kColumns * kColumns + kernels().panel));
  independent.cross = independent.covariance;
  for (int64_t c = 0; c < kColumns; ++c) independent.covariance[static_cast<size_t>(c * kColumns + c)] = 1;
  const InputHessian hessian(std::move(independent));
  const std::vector<float> w = weights(), found = dequantize(compensated(w, hessian));
  const QuantizedMatrix m = compensated(w, hessian);
  // Each value is at most half a step from the original, or was clipped to the end of its group's range.
  for (int64_t g = 0; g < kRows * kColumns / 32; ++g) {
    const auto begin = found.begin() + g * 32;
    const auto [low, high] = std::minmax_element(begin, begin + 32);
    uint16_t half = 0;
    std::memcpy(&half, m.scales.data() + 2 * g, 2);
    const float step = std::abs(f16_to_float(half));
    for (int64_t i = g * 32; i < (g + 1) * 32; ++i) {
      const float value = w[static_cast<size_t>(i)], rounded = found[static_cast<size_t>(i)];
      const bool clipped = rounded == *low || rounded == *high;
      // The gradient that decides a code is summed in float32: 1e-6 of values below 0.3.
      if (!clipped) {
        EXPECT_LE(std::abs(value - rounded), step * 0.5f + 1e-6f) << i;
      }
    }
  }
}

TEST(Compensation, SurvivesASingularCovarianceAndColumnsThatNeverFire) {
  std::vector<float> x = inputs(kColumns, 3, 0, 5);  // rank 3
  for (size_t i = 0; i < x.size(); ++i)
    if (i % kColumns % 9 == 0) x[i] = 0;
  const InputHessian hessian(moments_of(x, x, kColumns));
  const std::vector<float> w = weights();
  const QuantizedMatrix m = compensated(w, hessian);
  EXPECT_LT(cost(w, m, hessian), kGain * cost(w, plain(w), hessian));
  for (const float v : dequantize(m)) EXPECT_TRUE(std::isfinite(v));
}

TEST(Compensation, SurvivesInputsThatNeverChange) {
  const std::vector<float> x(static_cast<size_t>(kTokens * kColumns), 0.5f);
  const InputHessian hessian(moments_of(x, x, kColumns));
  const std::vector<float> w = weights();
  EXPECT_LE(cost(w, compensated(w, hessian), hessian), cost(w, plain(w), hessian));
}

TEST(Compensation, GivesTheSameBytesOnAnyNumberOfThreads) {
  const InputHessian hessian(correlated());
  const std::vector<float> w = weights();
  const QuantizedMatrix one = compensated(w, hessian, 1), three = compensated(w, hessian, 3);
  EXPECT_EQ(one.codes, three.codes);
  EXPECT_EQ(one.scales, three.scales);
  EXPECT_EQ(one.biases, three.biases);
}

TEST(Compensation, WritesEveryWidthAndGroup) {
  const InputHessian hessian(correlated());
  const std::vector<float> w = weights();
  ThreadPool pool(1);
  for (const int bits : {2, 3, 4, 5, 6, 8})
    for (const int group : {32, 64, 128})
      for (const Dtype dtype : {Dtype::f16, Dtype::bf16, Dtype::f32}) {
        const Scheme scheme{Mode::affine, bits, group, dtype};
        const QuantizedMatrix m = gptq_quantize(w, hessian, scheme, pool);
        const QuantizedMatrix rounded =
            quantize(std::as_bytes(std::span(w)), Dtype::f32, kRows, kColumns, scheme);
        EXPECT_EQ(m.codes.size(), rounded.codes.size());
        EXPECT_LT(cost(w, m, hessian), cost(w, rounded, hessian)) << to_string(scheme);
      }
}

// x0 = A x exactly: W x0 = (W A) x.
TEST(Retarget, FindsTheWeightsForTheInputsThereAre) {
  const std::vector<float> x = inputs(kColumns, 40, 1, 11);
  std::vector<float> x0 = x;
  for (int64_t t = 0; t < kTokens; ++t)
    for (int64_t c = 0; c + 1 < kColumns; ++c)
      x0[static_cast<size_t>(t * kColumns + c)] += 0.2f * x[static_cast<size_t>(t * kColumns + c + 1)];
  const std::vector<float> w = weights();
  std::vector<float> wanted = w;
  for (int64_t r = 0; r < kRows; ++r)
    for (int64_t c = 0; c + 1 < kColumns; ++c)
      wanted[static_cast<size_t>(r * kColumns + c + 1)] += 0.2f * w[static_cast<size_t>(r * kColumns + c)];
  ThreadPool pool(2);
  const InputHessian hessian(moments_of(x0, x, kColumns), 0.005);
  const std::vector<float> found = correct_for_drift(w, hessian, pool);
  // The damping pulls towards w by half a percent of the mean variance. The remaining error is small.
  EXPECT_LT(weighted_error(wanted, found, hessian, pool), 0.01 * weighted_error(wanted, w, hessian, pool));
}

// The sum is off by B x: the weights that correct it are W + B.
TEST(Retarget, MakesUpForASumThatIsOff) {
  const std::vector<float> x = inputs(kColumns, 40, 1, 11), w = weights();
  const std::vector<float> b = test::random_weights(static_cast<size_t>(kRows * kColumns), 21);
  std::vector<float> off(static_cast<size_t>(kTokens * kRows), 0.5f), wanted = w;
  for (size_t i = 0; i < b.size(); ++i) wanted[i] += b[i];
  for (int64_t t = 0; t < kTokens; ++t)
    for (int64_t r = 0; r < kRows; ++r)
      for (int64_t c = 0; c < kColumns; ++c)
        off[static_cast<size_t>(t * kRows + r)] +=
            wanted[static_cast<size_t>(r * kColumns + c)] * x[static_cast<size_t>(t * kColumns + c)];
  ThreadPool pool(2);
  cpu::Arena arena;
  MomentSums sums(kColumns, kRows, pool);
  const cpu::Tensor in = tensor(arena, x, kColumns), sum0 = tensor(arena, off, kRows),
                    sum = tensor(arena, std::vector<float>(off.size()), kRows);
  sums.add(in, sum0, sum, std::vector<float>(kTokens, 1.0f));
  const InputHessian hessian(sums.finish(), 0.005);
  const std::vector<float> found = correct_for_drift(w, hessian, pool);
  // The damping pulls towards w.
  EXPECT_LT(weighted_error(wanted, found, hessian, pool), 0.01 * weighted_error(wanted, w, hessian, pool));
}

TEST(ChannelFit, FindsTheLineOfEachChannel) {
  constexpr int64_t kChannels = 70;
  const std::vector<float> values = test::random_weights(static_cast<size_t>(kTokens * kChannels), 5, 1);
  std::vector<float> x = values, wanted = values;
  for (size_t i = 0; i < values.size(); ++i) {
    const auto c = static_cast<float>(i % kChannels);
    if (i % kChannels == 7) x[i] = 0.25f;  // never varies
    wanted[i] = (1 + 0.01f * c) * x[i] - 0.1f * c;
  }
  ThreadPool pool(2);
  cpu::Arena arena;
  ChannelFit fit(kChannels);
  fit.add(tensor(arena, x, kChannels), tensor(arena, wanted, kChannels), std::vector<float>(kTokens, 0.5f),
          pool);
  const std::vector<ChannelAffine> lines = fit.lines();
  for (size_t c = 0; c < kChannels; ++c) {
    const float slope = c == 7 ? 1 : 1 + 0.01f * static_cast<float>(c);
    EXPECT_NEAR(lines[c].slope, slope, 1e-5) << c;
    // In the constant channel, the offset corrects what the slope does not: 0.07 * 0.25.
    EXPECT_NEAR(lines[c].offset, -0.1f * static_cast<float>(c) + (c == 7 ? 0.0175f : 0), 1e-5) << c;
  }
}

TEST(ActivationFile, GivesBackRowsAndRefusesWhatWasReplaced) {
  const test::TemporaryFolder folder;
  ThreadPool pool(2);
  cpu::Arena arena;
  std::vector<float> values = inputs(kColumns, 9, 0.5f, 3);
  values[5 * kColumns + 3] = NAN;
  const cpu::Tensor rows = tensor(arena, values, kColumns);
  ActivationFile file(folder.path(), 2);
  EXPECT_TRUE(test::names_in(folder.path()).empty());  // it has no name
  file.put(0, tensor(arena, inputs(kColumns, 9, 0.5f, 4), kColumns), pool);
  const int64_t version = file.put(1, rows, pool);
  const cpu::Tensor found = file.get(1, version, arena, pool);
  ASSERT_EQ(found.rows(), rows.rows());
  for (int64_t r = 0; r < rows.rows(); ++r) {
    const float largest = std::abs(*std::max_element(
        rows.row(r), rows.row(r) + kColumns, [](float a, float b) { return std::abs(a) < std::abs(b); }));
    for (int64_t c = 0; c < kColumns; ++c) {
      if (r == 5)
        EXPECT_TRUE(std::isnan(found.row(r)[c]));
      else  // half a step of 1/32767, plus the rounding of the products
        EXPECT_NEAR(found.row(r)[c], rows.row(r)[c], largest * (0.5 / 32767 + 1e-6));
    }
  }
  file.put(1, rows, pool);
  EXPECT_THAT(test::error_text([&] { file.get(1, version, arena, pool); }, ErrorCode::internal),
              testing::HasSubstr("place"));
  EXPECT_THAT(test::error_text([&] { ActivationFile(folder / "none", 1); }, ErrorCode::io),
              testing::HasSubstr("none"));
}

TEST(GroupFit, IsNeverWorseThanPlainRounding) {
  const Grid grid{.bits = 3, .dtype = Dtype::f16};
  const std::vector<float> values = test::random_weights(64 * 200, 3), importance = [] {
    std::vector<float> h = test::random_weights(64, 4);
    for (float& v : h) v = v * v;
    return h;
  }();
  double rtn_sum = 0, fitted_sum = 0;
  for (size_t g = 0; g < 200; ++g) {
    const auto group = std::span(values).subspan(g * 64, 64);
    const auto error = [&](const AffineGroup& a) {
      double sum = 0;
      for (size_t i = 0; i < 64; ++i) {
        const float e = group[i] - (nearest_code(group[i], a, grid.last_code()) * a.scale + a.bias);
        sum += static_cast<double>(importance[i] * e * e);
      }
      return sum;
    };
    const double rtn_error = error(rtn_group(group, grid)),
                 fitted = error(fit_group(group, importance, grid));
    EXPECT_LE(fitted, rtn_error * (1 + 1e-5));
    rtn_sum += rtn_error;
    fitted_sum += fitted;
  }
  EXPECT_LT(fitted_sum, 0.75 * rtn_sum);
}

TEST(GroupFit, OfEqualValuesIsExact) {
  const std::vector<float> values(64, 0.25f), importance(64, 1.0f);
  const Grid grid{.bits = 4, .dtype = Dtype::f16};
  const AffineGroup g = fit_group(values, importance, grid);
  EXPECT_EQ(nearest_code(0.25f, g, grid.last_code()) * g.scale + g.bias, 0.25f);
}

}  // namespace
}  // namespace mlxe::calibrate::calibrate_test
