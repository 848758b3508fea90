// What `dequantize` writes of a quantized folder is the model that other tools compute: transformers' logits of it are ours,
// of the folder and of its quantized source.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "golden.h"
#include "mlx_encoder/convert.h"
#include "test_files.h"

namespace mlxe::dequantize_test {
namespace {

namespace fs = std::filesystem;
using test::Golden;

const fs::path kGoldens = fs::path(MLXE_TEST_DATA) / "dequantized";

fs::path quantized(const test::TemporaryFolder& folder, const std::string& name, int bits) {
  const fs::path out = folder / fmt::format("{}-{}", name, bits);
  convert({.model = test::kTinyFolders / name,
           .output = out,
           .scheme = {.mode = Mode::affine, .bits = bits, .group_size = 32, .dtype = Dtype::f16}});
  return out;
}

double difference_of(const fs::path& model, const Golden& golden) {
  std::string why_not;
  test::Running running(model, test::make_engine("cpu", why_not));
  const std::vector<test::Difference> all = test::compare_all(golden, running);
  EXPECT_EQ(all.size(), 1u);
  return all.empty() ? INFINITY : all[0].relative;
}

class Dequantized : public ::testing::TestWithParam<std::string> {};

// The values of the codes are the same in all three, so the parity tolerance holds. The twin is the same model at 8 bits: 4
// bits are seventeen times coarser.
TEST_P(Dequantized, FoldersComputeTransformersLogits) {
  const test::TemporaryFolder folder;
  const Golden golden(kGoldens / GetParam());
  const fs::path four = quantized(folder, GetParam(), 4), plain = folder / "plain";
  dequantize_model({.model = four, .output = plain, .dtype = Dtype::f32});
  EXPECT_LE(difference_of(plain, golden), test::kParityTolerance);
  EXPECT_LE(difference_of(four, golden), test::kParityTolerance);
  EXPECT_GT(difference_of(quantized(folder, GetParam(), 8), golden), 10 * test::kParityTolerance);
}

// Dequantizing and quantizing again gives a folder of the same form; the second rounding is said.
TEST_P(Dequantized, FoldersAreSourcesAgain) {
  const test::TemporaryFolder folder;
  const fs::path four = quantized(folder, GetParam(), 4), eight = folder / "eight";
  const Conversion done =
      convert({.model = four,
               .output = eight,
               .scheme = {.mode = Mode::affine, .bits = 8, .group_size = 32, .dtype = Dtype::f16}});
  EXPECT_THAT(done.plan.warnings, ::testing::Contains(::testing::HasSubstr("second rounding")));
  // 8 bits of values on a 4-bit grid keep them nearly: far nearer than the two roundings are to the original.
  const Golden golden(kGoldens / GetParam());
  EXPECT_LE(difference_of(eight, golden), difference_of(quantized(folder, GetParam(), 8), golden));
}

std::vector<std::string> names() {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(kGoldens))
    found.push_back(entry.path().filename().string());
  std::ranges::sort(found);
  return found;
}

INSTANTIATE_TEST_SUITE_P(Models, Dequantized, ::testing::ValuesIn(names()),
                         [](const auto& parameters) { return parameters.param; });

}  // namespace
}  // namespace mlxe::dequantize_test
