#include "convert/value_grid.h"

#include <gtest/gtest.h>

#include "base/half.h"
#include "mlx_encoder/quantize.h"
#include "model_folders.h"

namespace mlxe::value_grid_test {
namespace {

using test::random_weights;

float rounded(float value, Dtype dtype) {
  if (dtype == Dtype::f16) return f16_to_float(float_to_f16(value));
  if (dtype == Dtype::bf16) return bf16_to_float(float_to_bf16(value));
  return value;
}

std::optional<ValueGrid> grid_of(const std::vector<float>& values, int64_t rows, int64_t columns,
                                 Dtype dtype) {
  return find_value_grid(rows, columns, dtype, [&](int64_t row, std::span<float> out) {
    for (int64_t c = 0; c < columns; ++c)
      out[static_cast<size_t>(c)] = rounded(values[static_cast<size_t>(row * columns + c)], dtype);
  });
}

// Values rounded to `bits`-bit codes with one scale for each `per` values, and dequantized as torch does.
std::vector<float> fake_quantized(std::vector<float> values, int bits, size_t per) {
  const float levels = static_cast<float>((1 << bits) - 1);
  for (size_t at = 0; at < values.size(); at += per) {
    const auto block = std::span(values).subspan(at, per);
    const auto [low, high] = std::ranges::minmax(block);
    const float scale = (high - low) / levels, zero = std::round(-low / scale);
    for (float& v : block) v = (std::clamp(std::round(v / scale) + zero, 0.0f, levels) - zero) * scale;
  }
  return values;
}

struct Case {
  int64_t rows, columns;
};
constexpr Case kShapes[] = {{32, 32}, {64, 32}, {2, 384}, {200, 40}, {384, 384}, {1, 1}, {0, 5}, {3, 2}};

TEST(ValueGrid, NeverSeenInWeightsOfAnyFloatType) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f16, Dtype::bf16})
    for (const Case& shape : kShapes)
      for (unsigned seed = 0; seed < 40; ++seed) {
        const auto values = random_weights(static_cast<size_t>(shape.rows * shape.columns), seed);
        EXPECT_FALSE(grid_of(values, shape.rows, shape.columns, dtype))
            << name(dtype) << " " << shape.rows << "x" << shape.columns << " seed " << seed;
      }
}

TEST(ValueGrid, NotSeenInConstantsIdentitiesAndNaN) {
  const std::vector<float> ones(64 * 64, 1.0f);
  EXPECT_FALSE(grid_of(ones, 64, 64, Dtype::f32));
  std::vector<float> identity(64 * 64, 0.0f);
  for (size_t i = 0; i < 64; ++i) identity[i * 65] = 1;
  EXPECT_FALSE(grid_of(identity, 64, 64, Dtype::f16));
  auto broken = random_weights(64 * 64, 1);
  broken[77] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(grid_of(broken, 64, 64, Dtype::f32));
}

TEST(ValueGrid, FoundOverTheTensorAndByRow) {
  for (const int bits : {4, 6, 8}) {
    const auto tensor = fake_quantized(random_weights(96 * 64, 5), bits, 96 * 64);
    const auto whole = grid_of(tensor, 96, 64, Dtype::f32);
    ASSERT_TRUE(whole) << bits;
    EXPECT_EQ(whole->scope, ValueGrid::Scope::tensor);
    EXPECT_LE(whole->points, 1 << bits);
    EXPECT_GT(whole->points, 1 << (bits - 1));
  }
  const auto rows = fake_quantized(random_weights(96 * 64, 6), 8, 64);
  const auto by_row = grid_of(rows, 96, 64, Dtype::f32);
  ASSERT_TRUE(by_row);
  EXPECT_EQ(by_row->scope, ValueGrid::Scope::row);
  EXPECT_LE(by_row->points, 256);
}

TEST(ValueGrid, FoundAfterRoundingToHalfFloats) {
  const auto tensor = fake_quantized(random_weights(256 * 128, 7), 8, 256 * 128);
  EXPECT_TRUE(grid_of(tensor, 256, 128, Dtype::f16));
  EXPECT_TRUE(grid_of(tensor, 256, 128, Dtype::bf16));
  const auto rows = fake_quantized(random_weights(64 * 512, 8), 8, 512);
  EXPECT_TRUE(grid_of(rows, 64, 512, Dtype::f16));
}

// The twin: with one value between two points there is no grid.
TEST(ValueGrid, OneValueOffTheGridEndsIt) {
  auto tensor = fake_quantized(random_weights(96 * 64, 9), 8, 96 * 64);
  const auto grid = grid_of(tensor, 96, 64, Dtype::f32);
  ASSERT_TRUE(grid);
  tensor[1234] += static_cast<float>(0.3 * grid->step);
  EXPECT_FALSE(grid_of(tensor, 96, 64, Dtype::f32));
}

// MLX's codes have a grid in every group of 64. That is how a dequantized model looks, and no evidence of
// fake quantization.
TEST(ValueGrid, GroupGridsAreNotTaken) {
  const auto values = random_weights(64 * 256, 10);
  const QuantizedMatrix m =
      quantize(std::as_bytes(std::span(values)), Dtype::f32, 64, 256,
               {.mode = Mode::affine, .bits = 8, .group_size = 64, .dtype = Dtype::f32}, 1);
  EXPECT_FALSE(grid_of(dequantize(m), 64, 256, Dtype::f32));
}

}  // namespace
}  // namespace mlxe::value_grid_test
