// Compares our bytes with those of real MLX, from files that MLX wrote: a small committed file with every
// difficult kind of group (tools/make_quant_goldens.py), and a second file of another origin, outside the
// repository.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/half.h"
#include "format/safetensors.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/quantize.h"
#include "quant/matrix.h"

namespace mlxe::quantize_golden_test {
namespace {

const std::filesystem::path kCommitted = std::filesystem::path(MLXE_TEST_DATA) / "quant_golden.safetensors";
const std::filesystem::path kScales = std::filesystem::path(MLXE_TEST_DATA) / "scale_golden.safetensors";
const std::filesystem::path kShared =
    std::filesystem::path(MLXE_SHARED_DIR) / "golden/quant_golden.safetensors";

struct NamedDtype {
  const char* name;
  Dtype dtype;
};
constexpr NamedDtype kDtypes[] = {{"f32", Dtype::f32}, {"f16", Dtype::f16}, {"bf16", Dtype::bf16}};

struct Case {
  std::string key;  // prefix of the tensors' names
  Scheme scheme;
};

std::vector<Case> mlx_cases() {
  std::vector<Case> cases;
  for (const auto& [suffix, dtype] : kDtypes) {
    for (int bits : {2, 3, 4, 5, 6, 8})
      for (int group : {32, 64, 128})
        cases.push_back(
            {fmt::format("affine.{}.b{}.g{}", suffix, bits, group), {Mode::affine, bits, group, dtype}});
    cases.push_back({fmt::format("mxfp4.{}", suffix), {Mode::mxfp4, 4, 32, dtype}});
    cases.push_back({fmt::format("mxfp8.{}", suffix), {Mode::mxfp8, 8, 32, dtype}});
    cases.push_back({fmt::format("nvfp4.{}", suffix), {Mode::nvfp4, 4, 16, dtype}});
  }
  return cases;
}

class Golden {
 public:
  explicit Golden(const std::filesystem::path& path) : file_(path), w_(tensor("w")) {}

  const TensorView& w() const { return w_; }
  const TensorView* find(const std::string& name) const { return file_.find(name); }
  const TensorView& tensor(const std::string& name) const {
    const TensorView* found = file_.find(name);
    if (!found) throw std::runtime_error(name + " is not in the golden file");
    return *found;
  }
  QuantizedMatrix quantized(const Scheme& scheme, int threads = 2) const {
    return quantize(w_.data, w_.dtype, w_.shape[0], w_.shape[1], scheme, threads);
  }
  // Name of the first component that differs from the file's. Empty if all are equal.
  std::string difference(const Case& c, const QuantizedMatrix& m) const {
    const bool mlx = c.scheme.mode != Mode::int8 && c.scheme.mode != Mode::fake;
    if (differs(m.codes, tensor(c.key + ".weight"))) return "codes";
    if (differs(m.scales, tensor(c.key + (mlx ? ".scales" : ".scale")))) return "scales";
    if (!m.biases.empty() && differs(m.biases, tensor(c.key + (mlx ? ".biases" : ".zero_point"))))
      return "biases";
    return "";
  }

 private:
  static bool differs(const std::vector<std::byte>& ours, const TensorView& theirs) {
    return ours.size() != theirs.data.size() ||
           std::memcmp(ours.data(), theirs.data.data(), ours.size()) != 0;
  }
  SafetensorsFile file_;
  const TensorView& w_;
};

void expect_identical(const Golden& golden) {
  for (const Case& c : mlx_cases()) {
    const QuantizedMatrix m = golden.quantized(c.scheme);
    EXPECT_EQ(golden.difference(c, m), "") << c.key;
    EXPECT_EQ(m.codes.size() + m.scales.size() + m.biases.size(), stored_bytes(c.scheme, m.rows, m.columns))
        << c.key;
  }
}

// Number of our values that differ from MLX's. With float32 scales MLX computes as we do: the values are
// equal. With scales of p significand bits MLX rounds the product and the sum to p bits, each with an error
// of at most half a unit in the last place (2^-p relative, 2^-25 absolute for subnormal float16). We keep
// float32, whose rounding is negligible. Hence
//   |theirs - ours| <= (|q * scale| + |theirs|) * 2^-p + 2^-24.
size_t wrong_values(const Golden& golden, const Case& c, const QuantizedMatrix& m) {
  const TensorView& stored = golden.tensor(c.key + ".dequant");
  const std::vector<float> theirs = to_floats(stored), ours = dequantize(m);
  if (stored.dtype == Dtype::f32) {
    size_t wrong = 0;
    for (size_t i = 0; i < ours.size(); ++i) wrong += ours[i] != theirs[i];
    return wrong;
  }
  const float unit = stored.dtype == Dtype::f16 ? 0x1p-11f : 0x1p-8f;
  const std::vector<float> biases = to_floats(golden.tensor(c.key + ".biases"));
  size_t wrong = 0;
  for (size_t i = 0; i < ours.size(); ++i) {
    const float product = ours[i] - biases[i / static_cast<size_t>(c.scheme.group_size)];
    wrong += !(std::abs(ours[i] - theirs[i]) <= (std::abs(product) + std::abs(theirs[i])) * unit + 0x1p-24f);
  }
  return wrong;
}

void expect_values_of_mlx(const Golden& golden) {
  size_t compared = 0;
  for (const Case& c : mlx_cases()) {
    if (!golden.find(c.key + ".dequant")) continue;
    ++compared;
    QuantizedMatrix m = golden.quantized(c.scheme);
    EXPECT_EQ(wrong_values(golden, c, m), 0u) << c.key;
    // The twin: a damaged scale. The bit is 2^-3 of the scale in float16 and bfloat16, half of it elsewhere.
    m.scales[m.scales.size() / 2 + size_of(c.scheme.dtype) - 1] ^= std::byte{2};
    EXPECT_GT(wrong_values(golden, c, m), 0u) << c.key;
  }
  EXPECT_GT(compared, 0u);
}

TEST(QuantizeGolden, EveryModeGivesTheBytesOfMlx) {
  expect_identical(Golden(kCommitted));
}

TEST(QuantizeGolden, EveryModeGivesTheValuesOfMlx) {
  expect_values_of_mlx(Golden(kCommitted));
}

TEST(QuantizeGolden, Int8AndFakeFollowTheirFormulas) {
  const Golden golden(kCommitted);
  for (const Case& c :
       {Case{"int8", {Mode::int8, 8, 0, Dtype::f32}}, Case{"fake", {Mode::fake, 8, 0, Dtype::f32}}}) {
    const QuantizedMatrix m = golden.quantized(c.scheme);
    EXPECT_EQ(golden.difference(c, m), "") << c.key;
    EXPECT_EQ(m.codes.size() + m.scales.size() + m.biases.size(), stored_bytes(c.scheme, m.rows, m.columns))
        << c.key;
  }
}

TEST(QuantizeGolden, SharedFileGivesTheSameBytesAndValues) {
  if (!std::filesystem::exists(kShared)) GTEST_SKIP() << kShared << " is not there";
  const Golden golden(kShared);
  expect_identical(golden);
  expect_values_of_mlx(golden);
}

// The twin of the byte comparison.
TEST(QuantizeGolden, OneFlippedBitIsNoticed) {
  const Golden golden(kCommitted);
  for (const Case& c : mlx_cases()) {
    QuantizedMatrix m = golden.quantized(c.scheme);
    m.codes[m.codes.size() / 2] ^= std::byte{0x10};
    EXPECT_EQ(golden.difference(c, m), "codes") << c.key;
    m = golden.quantized(c.scheme);
    m.scales.back() ^= std::byte{1};
    EXPECT_EQ(golden.difference(c, m), "scales") << c.key;
    if (m.biases.empty()) continue;
    m = golden.quantized(c.scheme);
    m.biases.front() ^= std::byte{1};
    EXPECT_EQ(golden.difference(c, m), "biases") << c.key;
  }
}

// Row s of the matrix has scale byte s. Returns the rows that we dequantize differently from MLX (any bit).
// A row that MLX reads as NaN or infinity must give an error that names the row.
std::vector<size_t> rows_unlike_mlx(const SafetensorsFile& file, const std::string& mode,
                                    const Scheme& scheme, const MatrixView& stored) {
  const std::vector<float> theirs = to_floats(*file.find(mode + ".dequant"));
  const auto columns = static_cast<size_t>(scheme.group_size);
  std::vector<size_t> unlike;
  for (size_t row = 0; row < 256; ++row) {
    const auto expected = std::span(theirs).subspan(row * columns, columns);
    std::vector<float> ours(columns);
    std::string error;
    try {
      dequantize_rows(stored, scheme, 256, scheme.group_size, static_cast<int64_t>(row), 1, ours);
    } catch (const Error& e) {
      error = e.what();
    }
    const bool finite = std::ranges::all_of(expected, [](float v) { return std::isfinite(v); });
    const bool same = finite ? error.empty() && std::memcmp(ours.data(), expected.data(), columns * 4) == 0
                             : error.starts_with(fmt::format("row {}: ", row));
    if (!same) unlike.push_back(row);
  }
  return unlike;
}

TEST(QuantizeGolden, EveryScaleByteIsReadAsMlxReadsIt) {
  const SafetensorsFile file(kScales);
  for (const Case& c :
       {Case{"nvfp4", {Mode::nvfp4, 4, 16, Dtype::f32}}, Case{"mxfp4", {Mode::mxfp4, 4, 32, Dtype::f32}},
        Case{"mxfp8", {Mode::mxfp8, 8, 32, Dtype::f32}}}) {
    const std::span<const std::byte> scales = file.find(c.key + ".scales")->data;
    MatrixView stored{file.find(c.key + ".weight")->data, scales, {}};
    EXPECT_EQ(rows_unlike_mlx(file, c.key, c.scheme, stored), std::vector<size_t>{}) << c.key;
    // The twin: the highest bit of one scale is flipped: the sign in nvfp4, a factor of 2^128 in the others.
    std::vector<std::byte> flipped(scales.begin(), scales.end());
    flipped[200] ^= std::byte{0x80};
    stored.scales = flipped;
    EXPECT_EQ(rows_unlike_mlx(file, c.key, c.scheme, stored), std::vector<size_t>{200}) << c.key;
  }
}

// The same matrix in each float dtype: after rounding, the source's dtype makes no difference.
TEST(QuantizeGolden, SourceDtypeAndThreadsDoNotMatter) {
  const Golden golden(kCommitted);
  const std::vector<float> w = to_floats(golden.w());
  const int64_t rows = golden.w().shape[0], columns = golden.w().shape[1];
  std::vector<double> wide(w.begin(), w.end());
  for (const auto& [suffix, dtype] : kDtypes) {
    const Scheme scheme{Mode::affine, 4, 64, dtype};
    const QuantizedMatrix expected = golden.quantized(scheme, 1);
    QuantizedMatrix m = quantize(std::as_bytes(std::span(wide)), Dtype::f64, rows, columns, scheme, 3);
    EXPECT_EQ(m.codes, expected.codes);
    EXPECT_EQ(m.scales, expected.scales);
    if (dtype == Dtype::f32) continue;
    std::vector<uint16_t> halves;
    for (float x : w) halves.push_back(dtype == Dtype::f16 ? float_to_f16(x) : float_to_bf16(x));
    m = quantize(std::as_bytes(std::span(halves)), dtype, rows, columns, scheme);
    EXPECT_EQ(m.codes, expected.codes) << suffix;
    EXPECT_EQ(m.scales, expected.scales) << suffix;
    EXPECT_EQ(m.biases, expected.biases) << suffix;
    const QuantizedMatrix cast = golden.quantized({Mode::none, 0, 0, dtype});
    EXPECT_EQ(std::memcmp(cast.codes.data(), halves.data(), cast.codes.size()), 0) << suffix;
  }
}

}  // namespace
}  // namespace mlxe::quantize_golden_test
