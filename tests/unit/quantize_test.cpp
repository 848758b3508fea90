#include "mlx_encoder/quantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "base/half.h"
#include "base/thread_pool.h"
#include "quant/group_scales.h"
#include "quant/matrix.h"
#include "test_files.h"

namespace mlxe::quantize_test {
namespace {

using test::error_text;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr Scheme kFloat16{Mode::none, 0, 0, Dtype::f16};
constexpr Scheme kFloat32{Mode::none, 0, 0, Dtype::f32};
constexpr Scheme kAffine8{Mode::affine, 8, 64, Dtype::f16};
constexpr Scheme kInt8{Mode::int8, 8, 0, Dtype::f32};
constexpr Scheme kFake{Mode::fake, 8, 0, Dtype::f32};

const Scheme kAll[] = {kFloat16,
                       kFloat32,
                       {Mode::none, 0, 0, Dtype::bf16},
                       kAffine8,
                       {Mode::affine, 3, 32, Dtype::bf16},
                       {Mode::affine, 5, 128, Dtype::f32},
                       {Mode::mxfp4, 4, 32, Dtype::f16},
                       {Mode::mxfp8, 8, 32, Dtype::bf16},
                       {Mode::nvfp4, 4, 16, Dtype::f32},
                       kInt8,
                       kFake};

std::vector<float> normal_values(size_t n, unsigned seed = 1, float spread = 0.05f) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

std::span<const std::byte> bytes_of(const std::vector<float>& values) {
  return std::as_bytes(std::span(values));
}

QuantizedMatrix quantize_floats(const std::vector<float>& values, int64_t rows, const Scheme& scheme,
                                int threads = 1) {
  return quantize(bytes_of(values), Dtype::f32, rows, static_cast<int64_t>(values.size()) / rows, scheme,
                  threads);
}

// ---- the vocabulary

TEST(Scheme, NamesRoundTrip) {
  for (Mode mode : {Mode::none, Mode::affine, Mode::mxfp4, Mode::mxfp8, Mode::nvfp4, Mode::int8, Mode::fake})
    EXPECT_EQ(parse_mode(name(mode)), mode);
  EXPECT_THAT(error_text([] { parse_mode("q4_0"); }, ErrorCode::usage),
              HasSubstr("\"q4_0\" is unknown; use one of float, affine, mxfp4, mxfp8, nvfp4, int8, fake"));
  EXPECT_EQ(to_string(kFloat16), "float16");
  EXPECT_EQ(to_string(kAffine8), "affine 8-bit g64 float16");
  EXPECT_EQ(to_string(Scheme{Mode::nvfp4, 4, 16, Dtype::bf16}), "nvfp4 g16");
  EXPECT_EQ(to_string(kInt8), "int8 per row");
}

TEST(Scheme, OnlyWhatMlxHasIsLegal) {
  for (const Scheme& scheme : kAll) EXPECT_NO_THROW(validate(scheme)) << to_string(scheme);
  int legal = 0;
  for (int bits = -1; bits <= 33; ++bits)
    for (int group : {-64, 0, 1, 16, 32, 48, 64, 128, 256}) try {
        validate({Mode::affine, bits, group, Dtype::f16});
        ++legal;
      } catch (const Error&) {
      }
  EXPECT_EQ(legal, 6 * 3);
  const auto text = [](Scheme s) { return error_text([&] { validate(s); }, ErrorCode::usage); };
  EXPECT_EQ(text({Mode::affine, 7, 64, Dtype::f16}),
            "affine quantization: found bits 7, expected 2, 3, 4, 5, 6 or 8");
  EXPECT_EQ(text({Mode::affine, 4, 16, Dtype::f16}),
            "affine quantization: found group size 16, expected 32, 64 or 128");
  EXPECT_EQ(text({Mode::mxfp4, 4, 64, Dtype::f16}), "mxfp4 quantization: found group size 64, expected 32");
  EXPECT_EQ(text({Mode::nvfp4, 8, 16, Dtype::f16}), "nvfp4 quantization: found bits 8, expected 4");
  EXPECT_THAT(text({Mode::affine, 4, 64, Dtype::f64}), HasSubstr("dtype F64 can't be written"));
  EXPECT_THAT(text({Mode::none, 0, 0, Dtype::i8}), HasSubstr("dtype I8 can't be written"));
}

TEST(Scheme, FitsWhenTheGroupDividesARow) {
  EXPECT_TRUE(fits(kAffine8, 64));
  EXPECT_TRUE(fits(kAffine8, 768));
  EXPECT_FALSE(fits(kAffine8, 312));
  EXPECT_FALSE(fits(kAffine8, 0));
  EXPECT_FALSE(fits(kAffine8, -64));
  EXPECT_TRUE(fits(kInt8, 3));
  EXPECT_TRUE(fits(kFloat16, 1));
}

TEST(Scheme, StoredBytesOfKnownMatrices) {
  // 2 x 128 at 8 bits, group 64: 256 bytes of codes, 4 groups of 2 float16.
  EXPECT_EQ(stored_bytes(kAffine8, 2, 128), 256u + 4 * 2 * 2);
  EXPECT_EQ(stored_bytes({Mode::affine, 3, 32, Dtype::f32}, 2, 128), 96u + 8 * 2 * 4);
  EXPECT_EQ(stored_bytes({Mode::mxfp4, 4, 32, Dtype::f16}, 2, 128), 128u + 8);
  EXPECT_EQ(stored_bytes({Mode::mxfp8, 8, 32, Dtype::f16}, 2, 128), 256u + 8);
  EXPECT_EQ(stored_bytes({Mode::nvfp4, 4, 16, Dtype::f16}, 2, 128), 128u + 16);
  EXPECT_EQ(stored_bytes(kInt8, 2, 128), 256u + 2 * 4 + 2);
  EXPECT_EQ(stored_bytes(kFake, 2, 128), 1024u + 4 + 4);
  EXPECT_EQ(stored_bytes(kFloat16, 2, 128), 512u);
  EXPECT_EQ(stored_bytes(kFloat16, 0, 128), 0u);
}

TEST(Scheme, ShapesThatCannotBeStored) {
  EXPECT_THAT(error_text([] { stored_bytes(kAffine8, 2, 312); }, ErrorCode::usage),
              HasSubstr("rows of 312 values can't be stored; the length must be a positive multiple of 64"));
  const int64_t huge = std::numeric_limits<int64_t>::max();
  for (auto [rows, columns] : {std::pair{huge, huge},
                               {huge, int64_t{64}},
                               {int64_t{-1}, int64_t{64}},
                               {int64_t{1} << 40, int64_t{1} << 30}})
    error_text([&] { stored_bytes(kAffine8, rows, columns); }, ErrorCode::usage);
}

// ---- quantizing

TEST(Quantize, EveryPieceHasThePredictedSize) {
  const std::vector<float> values = normal_values(6 * 128);
  for (const Scheme& scheme : kAll) {
    const QuantizedMatrix m = quantize_floats(values, 6, scheme);
    const ComponentBytes sizes = component_bytes(scheme, 6, 128);
    EXPECT_EQ(m.codes.size(), sizes.codes) << to_string(scheme);
    EXPECT_EQ(m.scales.size(), sizes.scales) << to_string(scheme);
    EXPECT_EQ(m.biases.size(), sizes.biases) << to_string(scheme);
    EXPECT_EQ(sizes.total(), stored_bytes(scheme, 6, 128)) << to_string(scheme);
  }
}

// The largest error of a value, relative to the matrix's largest magnitude L.
float largest_error(const Scheme& scheme) {
  const float half_unit = scheme.dtype == Dtype::f32   ? 0x1p-25f
                          : scheme.dtype == Dtype::f16 ? 0x1p-12f
                                                       : 0x1p-9f;
  switch (scheme.mode) {
    case Mode::none:
      return scheme.dtype == Dtype::f32 ? 0 : 2 * half_unit;
    // A range of at most 2 L in 2^bits - 1 steps: half a step of rounding and, at the far edge, half a step
    // of clamping. The stored scale and bias are rounded, too.
    case Mode::affine:
      return 2 / static_cast<float>((1 << scheme.bits) - 1) + 2 * (2 * half_unit);
    case Mode::mxfp4:
      return 1.0f / 3;  // scale up to 2 * L / 6, codes up to 2 apart
    case Mode::nvfp4:
      return 17.0f / 16 / 6;  // the same with a scale at most 1/16 above L / 6
    case Mode::mxfp8:
      return 2.0f * 16 / 448;  // scale up to 2 * L / 448, codes up to 32 apart
    case Mode::int8:
    case Mode::fake:
      return 2.0f / 255;  // as affine: the zero point is rounded to a whole number
  }
  return 0;
}

TEST(Quantize, ValuesComeBackWithinTheStepOfTheirGrid) {
  const std::vector<float> values = normal_values(64 * 256, 7);
  float largest = 0;
  for (float x : values) largest = std::max(largest, std::abs(x));
  for (const Scheme& scheme : kAll) {
    QuantizedMatrix m = quantize_floats(values, 64, scheme);
    const auto worst = [&] {
      const std::vector<float> back = dequantize(m);
      float error = 0;
      for (size_t i = 0; i < values.size(); ++i) error = std::max(error, std::abs(back[i] - values[i]));
      return error / largest;
    };
    EXPECT_LE(worst(), largest_error(scheme)) << to_string(scheme);
    // The twin: the codes of a whole row are inverted, because inverting a single code may change its value
    // only a little.
    for (size_t i = 0; i < m.codes.size() / 64; ++i) m.codes[m.codes.size() / 2 + i] ^= std::byte{0xff};
    try {
      EXPECT_GT(worst(), largest_error(scheme)) << to_string(scheme);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::numeric);  // it became a NaN
    }
  }
}

TEST(Quantize, SlicesOfRowsAndThreadsGiveTheSameBytes) {
  const int64_t rows = 300, columns = 256;
  const std::vector<float> values = normal_values(static_cast<size_t>(rows * columns), 3);
  for (const Scheme& scheme : kAll) {
    const QuantizedMatrix whole = quantize_floats(values, rows, scheme, 1);
    EXPECT_EQ(quantize_floats(values, rows, scheme, 4).codes, whole.codes) << to_string(scheme);
    if (scheme.mode == Mode::fake) continue;
    ThreadPool pool(2);
    QuantizedMatrix sliced = whole;
    std::fill(sliced.codes.begin(), sliced.codes.end(), std::byte{0});
    for (int64_t first = 0; first < rows; first += 70) {
      const int64_t count = std::min<int64_t>(70, rows - first);
      const auto part = [&](std::vector<std::byte>& piece) {
        const size_t row = piece.size() / static_cast<size_t>(rows);
        return std::span(piece).subspan(row * static_cast<size_t>(first), row * static_cast<size_t>(count));
      };
      const auto in = bytes_of(values).subspan(static_cast<size_t>(first * columns) * 4,
                                               static_cast<size_t>(count * columns) * 4);
      quantize_into(in, Dtype::f32, count, columns, scheme,
                    {part(sliced.codes), part(sliced.scales), part(sliced.biases)}, pool);
    }
    EXPECT_EQ(sliced.codes, whole.codes) << to_string(scheme);
    EXPECT_EQ(sliced.scales, whole.scales) << to_string(scheme);
    EXPECT_EQ(sliced.biases, whole.biases) << to_string(scheme);
  }
}

// A safetensors file promises no alignment.
TEST(Quantize, NothingNeedsAlignment) {
  const std::vector<float> values = normal_values(2 * 128);
  for (const Scheme& scheme : kAll) {
    const QuantizedMatrix expected = quantize_floats(values, 2, scheme);
    std::vector<std::byte> in(values.size() * 4 + 1), codes(expected.codes.size() + 1),
        scales(expected.scales.size() + 1), biases(expected.biases.size() + 1);
    std::memcpy(in.data() + 1, values.data(), values.size() * 4);
    const auto shifted = [](std::vector<std::byte>& v) { return std::span(v).subspan(1); };
    ThreadPool pool(1);
    quantize_into(shifted(in), Dtype::f32, 2, 128, scheme, {shifted(codes), shifted(scales), shifted(biases)},
                  pool);
    EXPECT_EQ(std::memcmp(codes.data() + 1, expected.codes.data(), expected.codes.size()), 0)
        << to_string(scheme);
    std::vector<float> back(values.size());
    dequantize_rows({shifted(codes), shifted(scales), shifted(biases)}, scheme, 2, 128, 0, 2, back);
    EXPECT_EQ(back, dequantize(expected)) << to_string(scheme);
  }
}

TEST(Quantize, NoRowsAreFine) {
  for (const Scheme& scheme : kAll) EXPECT_TRUE(quantize({}, Dtype::f32, 0, 128, scheme).codes.empty());
}

TEST(Quantize, NotANumberIsNamedByRowAndColumn) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (const Scheme& scheme : kAll)
    for (int threads : {1, 4}) {
      std::vector<float> values = normal_values(400 * 256);
      values[7 * 256 + 3] = nan;
      values[300 * 256] = inf;
      const auto text = [&] {
        return error_text([&] { quantize_floats(values, 400, scheme, threads); }, ErrorCode::numeric);
      };
      EXPECT_EQ(text(), "row 7, column 3: found NaN, expected a finite number; the checkpoint is damaged");
      values[7 * 256 + 3] = -inf;
      EXPECT_THAT(text(), StartsWith("row 7, column 3: found infinity"));
    }
}

TEST(Quantize, WhatADtypeCannotHoldIsAnError) {
  std::vector<float> values = normal_values(2 * 64);
  values[64 + 5] = 65520;  // rounds to 2^16, one past the largest float16
  EXPECT_THAT(
      error_text([&] { quantize_floats(values, 2, kAffine8); }, ErrorCode::numeric),
      HasSubstr("row 1, column 5: 65520 is beyond the largest F16 number, 65504; choose a wider dtype"));
  EXPECT_NO_THROW(quantize_floats(values, 2, {Mode::affine, 8, 64, Dtype::bf16}));
  values[64 + 5] = 65519;
  EXPECT_NO_THROW(quantize_floats(values, 2, kAffine8));

  std::vector<double> wide(64, 1e300);
  EXPECT_THAT(error_text([&] { quantize(std::as_bytes(std::span(wide)), Dtype::f64, 1, 64, kFloat32); },
                         ErrorCode::numeric),
              HasSubstr("row 0, column 0: 1e+300 is beyond the largest F32 number"));

  values[64] = 3e38f, values[65] = -3e38f;  // each fits float32, their difference does not
  EXPECT_THAT(error_text(
                  [&] {
                    quantize_floats(values, 2, {Mode::affine, 8, 32, Dtype::f32});
                  },
                  ErrorCode::numeric),
              StartsWith("row 1, column 0: the range of the values that share a scale exceeds float32"));
}

TEST(Quantize, WrongArguments) {
  const std::vector<float> values(64);
  EXPECT_THAT(error_text([&] { quantize(bytes_of(values), Dtype::f32, 2, 64, kFloat16); }, ErrorCode::usage),
              HasSubstr("256 bytes of F32 values; a [2, 64] matrix has 512"));
  EXPECT_THAT(error_text([&] { quantize(bytes_of(values), Dtype::i32, 1, 64, kFloat16); }, ErrorCode::usage),
              HasSubstr("values of dtype I32"));
}

// ---- the grids, by hand

TEST(GroupScales, AffinePinsTheLargerEdge) {
  // low -1, high 0.5, 2 bits: step 0.5, code of -1 is rint(-1 / 0.5) = -2, so scale -1 / -2, bias -1.
  EXPECT_EQ(affine_group(-1, 0.5f, 2).scale, 0.5f);
  EXPECT_EQ(affine_group(-1, 0.5f, 2).bias, -1);
  // Mirrored: the scale is negative and the bias the maximum.
  EXPECT_EQ(affine_group(-0.5f, 1, 2).scale, -0.5f);
  EXPECT_EQ(affine_group(-0.5f, 1, 2).bias, 1);
  EXPECT_EQ(affine_group(0, 0, 4).scale, -1e-7f);
  EXPECT_EQ(affine_group(0, 0, 4).bias, 0);
}

TEST(GroupScales, E8m0IsTheSmallestPowerOfTwoThatCovers) {
  const auto scale = [](float largest) { return e8m0_scale(largest, 6, Dtype::f32); };
  EXPECT_EQ(scale(6), 127);
  EXPECT_EQ(scale(std::nextafter(6.0f, 7.0f)), 128);
  EXPECT_EQ(scale(std::nextafter(6.0f, 5.0f)), 127);
  EXPECT_EQ(scale(3), 126);
  EXPECT_EQ(scale(0), 127);
  // Rounded to the dtype of the values first: 6 * (1 + 2^-10) / 6 is 1 in bfloat16.
  EXPECT_EQ(e8m0_scale(6 + 6 * 0x1p-10f, 6, Dtype::bf16), 127);
  EXPECT_EQ(e8m0_scale(6 + 6 * 0x1p-10f, 6, Dtype::f16), 128);
  // The smallest scale is 2^-127; MLX itself wraps round below it.
  EXPECT_EQ(scale(6 * 0x1p-126f), 1);
  EXPECT_EQ(scale(6 * 0x1p-127f), 0);
  EXPECT_EQ(scale(6 * 0x1p-140f), 0);
  for (int code = 0; code < 255; ++code)
    EXPECT_EQ(e8m0_value(static_cast<uint8_t>(code)), std::ldexp(1.0f, code - 127));
}

TEST(GroupScales, E4m3OfTheSixth) {
  EXPECT_EQ(e4m3_value(e4m3_scale(6, Dtype::f32)), 1);
  EXPECT_EQ(e4m3_value(e4m3_scale(6 * 448.0f, Dtype::f32)), 448);
  EXPECT_EQ(e4m3_value(e4m3_scale(1e30f, Dtype::f32)), 448);
  EXPECT_EQ(e4m3_scale(6 * 0x1p-10f, Dtype::f32), 0);  // a tie, to even
  EXPECT_EQ(e4m3_scale(6 * 0x1.01p-10f, Dtype::f32), 1);
  for (int code = 0; code < 0x7f; ++code)
    EXPECT_EQ(e4m3_scale(e4m3_value(static_cast<uint8_t>(code)) * 6, Dtype::f32), code);
  for (int code = 0; code < 0x7f; ++code)
    EXPECT_EQ(e4m3_value(static_cast<uint8_t>(code | 0x80)), -e4m3_value(static_cast<uint8_t>(code)));
  EXPECT_TRUE(std::isnan(e4m3_value(0x7f)) && std::isnan(e4m3_value(0xff)));
  EXPECT_TRUE(std::isinf(e8m0_value(0xff)));
}

TEST(Quantize, Int8RowsOfEveryKind) {
  const std::vector<float> values{0,      0,     0,         0,      // zero: scale 1, all codes the zero point
                                  1,      2,     3,         2.55f,  // positive: widened to [0, 3]
                                  -1,     -2,    -2.55f,    0,      // negative: widened to [-2.55, 0]
                                  -1.28f, 1.27f, 0.004f,    0.006f, 0x1p-149f,
                                  0,      0,     -0x1p-149f};  // the scale rounds to 0: like a row of zeros
  const QuantizedMatrix m = quantize_floats(values, 5, kInt8);
  float scales[5];
  std::memcpy(scales, m.scales.data(), sizeof scales);
  std::vector<int> zero_points, codes;
  for (std::byte b : m.biases) zero_points.push_back(static_cast<int8_t>(b));
  for (std::byte b : m.codes) codes.push_back(static_cast<int8_t>(b));
  EXPECT_THAT(
      scales,
      ElementsAre(1, static_cast<float>(3.0 / 255), static_cast<float>(static_cast<double>(2.55f) / 255),
                  static_cast<float>((static_cast<double>(1.27f) + static_cast<double>(1.28f)) / 255), 1));
  EXPECT_THAT(zero_points, ElementsAre(-128, -128, 127, 0, -128));
  EXPECT_THAT(codes, ElementsAre(-128, -128, -128, -128, -43, 42, 127, 89, 27, -73, -128, 127, -128, 127, 0,
                                 1, -128, -128, -128, -128));
  const std::vector<float> back = dequantize(m);
  for (size_t i : {0u, 3u, 11u, 16u, 17u}) EXPECT_EQ(back[i], 0) << i;  // zero is exact
}

TEST(Quantize, FakeStoresFloatsOfOneGrid) {
  const std::vector<float> values = normal_values(8 * 64, 5);
  const QuantizedMatrix m = quantize_floats(values, 8, kFake);
  float scale, zero_point;
  std::memcpy(&scale, m.scales.data(), 4);
  std::memcpy(&zero_point, m.biases.data(), 4);
  const std::vector<float> back = dequantize(m);
  EXPECT_EQ(std::memcmp(back.data(), m.codes.data(), m.codes.size()), 0);
  for (size_t i = 0; i < back.size(); ++i) {
    const float code = back[i] / scale + zero_point;
    EXPECT_NEAR(code, std::rint(code), 1e-4);  // 2^-24 relative of up to 255, a few roundings
    EXPECT_LE(std::abs(back[i] - values[i]), scale * 0.51f);
  }
}

// We differ from MLX here on purpose, because MLX writes garbage.
TEST(Quantize, SubnormalGroupsStayNearZero) {
  std::vector<float> values(64, 1e-40f);
  for (Mode mode : {Mode::mxfp4, Mode::mxfp8}) {
    const Scheme scheme{mode, mode == Mode::mxfp4 ? 4 : 8, 32, Dtype::f32};
    const std::vector<float> back = dequantize(quantize_floats(values, 1, scheme));
    for (float x : back) EXPECT_LE(std::abs(x - 1e-40f), 1e-38f) << name(mode);
  }
}

// ---- dequantizing

TEST(Dequantize, AnyRangeOfRows) {
  const std::vector<float> values = normal_values(10 * 128, 9);
  for (const Scheme& scheme : kAll) {
    const QuantizedMatrix m = quantize_floats(values, 10, scheme);
    const std::vector<float> all = dequantize(m);
    for (auto [first, count] : {std::pair{0, 10}, {3, 4}, {9, 1}, {10, 0}, {0, 0}}) {
      std::vector<float> some(static_cast<size_t>(count) * 128);
      dequantize_rows(view(m), scheme, 10, 128, first, count, some);
      EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin() + first * 128)) << to_string(scheme);
    }
    std::vector<float> some(2 * 128);
    EXPECT_THAT(error_text([&] { dequantize_rows(view(m), scheme, 10, 128, 9, 2, some); }, ErrorCode::usage),
                HasSubstr("rows 9 to 11 of 10"));
  }
}

TEST(Dequantize, PiecesOfTheWrongSizeAreAnError) {
  const std::vector<float> values = normal_values(2 * 128);
  for (const Scheme& scheme : kAll) {
    QuantizedMatrix m = quantize_floats(values, 2, scheme);
    m.codes.pop_back();
    EXPECT_THAT(error_text([&] { dequantize(m); }, ErrorCode::format), StartsWith("codes: "))
        << to_string(scheme);
    m = quantize_floats(values, 2, scheme);
    m.scales.push_back({});
    EXPECT_THAT(error_text([&] { dequantize(m); }, ErrorCode::format), StartsWith("scales: "))
        << to_string(scheme);
  }
}

TEST(Dequantize, ScalesThatAreNotFiniteAreAnError) {
  const std::vector<float> values = normal_values(2 * 128);
  QuantizedMatrix m = quantize_floats(values, 2, kAffine8);
  m.scales[3 * 2 + 1] = std::byte{0x7e};  // NaN in row 1
  EXPECT_THAT(error_text([&] { dequantize(m); }, ErrorCode::numeric), StartsWith("row 1: scale 1 is not"));
  m = quantize_floats(values, 2, {Mode::mxfp8, 8, 32, Dtype::f16});
  m.scales[0] = std::byte{255};
  EXPECT_THAT(error_text([&] { dequantize(m); }, ErrorCode::numeric), StartsWith("row 0: scale 0 is not"));
}

}  // namespace
}  // namespace mlxe::quantize_test
