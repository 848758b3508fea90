// Compares our quantizer with mlx.core.quantize in this process: random matrices of every mode, bits, group
// size and dtype, and all float16 and bfloat16 numbers.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <mlx/mlx.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/half.h"
#include "mlx_encoder/quantize.h"

namespace mlxe {
namespace {

namespace mx = mlx::core;

constexpr Dtype kDtypes[] = {Dtype::f32, Dtype::f16, Dtype::bf16};

mx::Dtype mlx_dtype(Dtype dtype) {
  return dtype == Dtype::f16 ? mx::float16 : dtype == Dtype::bf16 ? mx::bfloat16 : mx::float32;
}

std::vector<Scheme> all_schemes() {
  std::vector<Scheme> schemes;
  for (Dtype dtype : kDtypes) {
    for (int bits : {2, 3, 4, 5, 6, 8})
      for (int group : {32, 64, 128}) schemes.push_back({Mode::affine, bits, group, dtype});
    schemes.push_back({Mode::mxfp4, 4, 32, dtype});
    schemes.push_back({Mode::mxfp8, 8, 32, dtype});
    schemes.push_back({Mode::nvfp4, 4, 16, dtype});
  }
  return schemes;
}

std::vector<std::byte> bytes_of(mx::array x) {
  x = mx::contiguous(x);
  x.eval();
  std::vector<std::byte> bytes(x.nbytes());
  std::memcpy(bytes.data(), x.data<uint8_t>(), bytes.size());
  return bytes;
}

struct Matrix {
  int rows, columns;
  std::vector<float> values;
};

std::vector<mx::array> quantize_with_mlx(const Matrix& w, const Scheme& scheme) {
  const mx::array x =
      mx::astype(mx::array(w.values.data(), {w.rows, w.columns}, mx::float32), mlx_dtype(scheme.dtype));
  return mx::quantize(x, scheme.group_size, scheme.bits, name(scheme.mode));
}

QuantizedMatrix quantize_with_ours(const Matrix& w, const Scheme& scheme) {
  return quantize(std::as_bytes(std::span(w.values)), Dtype::f32, w.rows, w.columns, scheme, 2);
}

// The first byte that differs, in words. Empty if all are equal.
std::string difference(const std::vector<mx::array>& theirs, const QuantizedMatrix& ours) {
  const std::vector<std::byte>* pieces[] = {&ours.codes, &ours.scales, &ours.biases};
  const char* names[] = {"codes", "scales", "biases"};
  for (size_t i = 0; i < theirs.size(); ++i) {
    const std::vector<std::byte> expected = bytes_of(theirs[i]);
    if (expected.size() != pieces[i]->size())
      return fmt::format("{}: {} bytes of {}", names[i], pieces[i]->size(), expected.size());
    const auto [a, b] = std::mismatch(expected.begin(), expected.end(), pieces[i]->begin());
    if (a != expected.end())
      return fmt::format("{}: byte {} of {} is {:#04x}, MLX has {:#04x}", names[i], a - expected.begin(),
                         expected.size(), static_cast<unsigned>(*b), static_cast<unsigned>(*a));
  }
  return "";
}

std::string describe(const Matrix& w, const Scheme& scheme) {
  return fmt::format("{} of [{}, {}]", to_string(scheme), w.rows, w.columns);
}

// Fills 16 values of a random kind. All are finite in float16, and none is subnormal in float32.
void fill(std::mt19937& random, float* out) {
  std::normal_distribution<float> normal;
  const auto uniform = [&](float low, float high) {
    return std::uniform_real_distribution<float>(low, high)(random);
  };
  const float size = std::pow(10.0f, uniform(-7, 3));
  const unsigned kind = random() % 10;
  for (int i = 0; i < 16; ++i) switch (kind) {
      case 0:
        out[i] = 0;
        break;
      case 1:
        out[i] = i % 2 ? 0.0f : -0.0f;
        break;
      case 2:
        out[i] = size;
        break;
      case 3:
        out[i] = static_cast<float>(static_cast<int>(random() % 33) - 16) * 0.125f;
        break;  // exact ties
      case 4:
        out[i] = std::abs(normal(random)) * size;
        break;
      case 5:
        out[i] = -std::abs(normal(random)) * size;
        break;
      case 6:
        out[i] = uniform(-65504, 65504);
        break;
      case 7:
        out[i] = normal(random) * 0.02f;
        break;
      case 8:
        out[i] = std::ldexp(static_cast<float>(random() % 2048), -24);
        break;  // float16 subnormals and around
      default:
        out[i] = normal(random) * size;
    }
  if (random() % 4 == 0) out[random() % 16] = (random() % 2 ? 1.0f : -1.0f) * uniform(1, 1000);
}

Matrix random_matrix(std::mt19937& random, int group_size) {
  const int unit = std::max(group_size, 32);  // MLX's CPU packs nvfp4 by 32 values
  Matrix w{1 + static_cast<int>(random() % 7), unit * (1 + static_cast<int>(random() % 6)), {}};
  w.values.resize(static_cast<size_t>(w.rows * w.columns));
  for (size_t i = 0; i < w.values.size(); i += 16) fill(random, &w.values[i]);
  return w;
}

class QuantizeLive : public testing::Test {
 protected:
  void SetUp() override { mx::set_default_device(mx::Device(mx::Device::cpu)); }
};

TEST_F(QuantizeLive, RandomMatricesGiveTheBytesOfMlx) {
  std::mt19937 random(20240607);
  for (const Scheme& scheme : all_schemes())
    for (int round = 0; round < 150; ++round) {
      const Matrix w = random_matrix(random, scheme.group_size);
      ASSERT_EQ(difference(quantize_with_mlx(w, scheme), quantize_with_ours(w, scheme)), "")
          << describe(w, scheme) << ", round " << round;
    }
}

// MLX dequantizes in the dtype of the scales. With scales cast to float32 it computes the same as we do.
TEST_F(QuantizeLive, RandomMatricesGiveTheValuesOfMlx) {
  std::mt19937 random(7);
  for (const Scheme& scheme : all_schemes())
    for (int round = 0; round < 5; ++round) {
      const Matrix w = random_matrix(random, scheme.group_size);
      const std::vector<mx::array> pieces = quantize_with_mlx(w, scheme);
      const bool affine = scheme.mode == Mode::affine;
      mx::array values =
          mx::dequantize(pieces[0], affine ? mx::astype(pieces[1], mx::float32) : pieces[1],
                         affine ? std::optional(mx::astype(pieces[2], mx::float32)) : std::nullopt,
                         scheme.group_size, scheme.bits, name(scheme.mode), std::nullopt, mx::float32);
      values = mx::contiguous(values);
      values.eval();
      const std::vector<float> ours = dequantize(quantize_with_ours(w, scheme));
      ASSERT_TRUE(std::equal(ours.begin(), ours.end(), values.data<float>())) << describe(w, scheme);
    }
}

struct HalfDtype {
  Dtype dtype;
  float (*widen)(uint16_t);
  float least, limit;  // magnitudes other than 0
};
// The range of bfloat16 in which MLX is correct: nvfp4 beyond 2^30 gives wrong codes, e8m0 below 2^-127
// wraps round.
const HalfDtype kHalves[] = {{Dtype::f16, f16_to_float, 0, 65504},
                             {Dtype::bf16, bf16_to_float, 0x1p-100f, 0x1p20f}};

// Every number of the dtype, ascending.
std::vector<float> every_value(const HalfDtype& half) {
  std::vector<float> values;
  for (int bits = 0; bits < 65536; ++bits) {
    const float value = half.widen(static_cast<uint16_t>(bits));
    const float magnitude = std::abs(value);
    if (magnitude == 0 || (magnitude >= half.least && magnitude <= half.limit)) values.push_back(value);
  }
  std::sort(values.begin(), values.end());
  return values;
}

// In order (smooth groups) and shuffled (wild ones).
TEST_F(QuantizeLive, EveryHalfFloatGivesTheBytesOfMlx) {
  for (const HalfDtype& half : kHalves) {
    std::vector<float> values = every_value(half);
    values.resize(values.size() / 128 * 128);
    for (const bool shuffled : {false, true}) {
      if (shuffled) std::shuffle(values.begin(), values.end(), std::mt19937(3));
      const Matrix w{static_cast<int>(values.size() / 128), 128, values};
      for (const Scheme& scheme : all_schemes()) {
        if (scheme.dtype != half.dtype) continue;
        ASSERT_EQ(difference(quantize_with_mlx(w, scheme), quantize_with_ours(w, scheme)), "")
            << describe(w, scheme);
      }
    }
  }
}

// The largest value of a group alone determines the scale of mxfp4, mxfp8 and nvfp4.
TEST_F(QuantizeLive, EveryHalfFloatAsTheLargestOfItsGroup) {
  for (const HalfDtype& half : kHalves) {
    const std::vector<float> largest = every_value(half);
    Matrix w{static_cast<int>(largest.size()), 32, {}};
    for (const float value : largest)
      for (int j = 0; j < 32; ++j)
        w.values.push_back(j % 16 == 5 ? value : value * 0.01f * static_cast<float>(j));
    for (const Scheme& scheme : all_schemes()) {
      if (scheme.dtype != half.dtype || scheme.mode == Mode::affine) continue;
      ASSERT_EQ(difference(quantize_with_mlx(w, scheme), quantize_with_ours(w, scheme)), "")
          << describe(w, scheme);
    }
  }
}

// The twin: one wrong bit anywhere is a difference.
TEST_F(QuantizeLive, AFlippedBitIsNoticed) {
  std::mt19937 random(11);
  for (const Scheme& scheme : all_schemes()) {
    const Matrix w = random_matrix(random, scheme.group_size);
    const std::vector<mx::array> theirs = quantize_with_mlx(w, scheme);
    QuantizedMatrix ours = quantize_with_ours(w, scheme);
    for (std::vector<std::byte>* piece : {&ours.codes, &ours.scales, &ours.biases}) {
      if (piece->empty()) continue;
      std::byte& byte = (*piece)[random() % piece->size()];
      const std::byte bit = std::byte{1} << (random() % 8);
      byte ^= bit;
      EXPECT_NE(difference(theirs, ours), "") << describe(w, scheme);
      byte ^= bit;
    }
    EXPECT_EQ(difference(theirs, ours), "") << describe(w, scheme);
  }
}

}  // namespace
}  // namespace mlxe
