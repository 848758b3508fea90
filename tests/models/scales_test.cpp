// Scales of quantized files that no quantizer writes: negative ones are signs, as in MLX, and NaN is an error.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <functional>

#include "engine_mlx/mlx_engine.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/encoder.h"
#include "model_folders.h"
#include "tokenizer/tokenizer.h"

namespace mlxe::scales_test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::vector<std::string> kTexts{"the road was late", "the cat was home"};

struct Kind {
  Scheme scheme;
  bool has_signs;            // mxfp scales are powers of two
  std::vector<uint8_t> nan;  // a scale's bytes
};

// NaN: half floats 0x7E00, E4M3 0x7F, E8M0 0xFF.
const std::vector<Kind> kKinds{{{Mode::affine, 8, 32, Dtype::f16}, true, {0x00, 0x7E}},
                               {{Mode::affine, 4, 32, Dtype::f16}, true, {0x00, 0x7E}},
                               {{Mode::affine, 4, 32, Dtype::bf16}, true, {0xC0, 0x7F}},
                               {{Mode::nvfp4, 4, 16, Dtype::f16}, true, {0x7F}},
                               {{Mode::mxfp4, 4, 32, Dtype::f16}, false, {0xFF}},
                               {{Mode::mxfp8, 8, 32, Dtype::f16}, false, {0xFF}}};

class Scales : public ::testing::Test {
 protected:
  test::TemporaryFolder parent_;

  fs::path converted(const Kind& kind) {
    const fs::path folder = parent_ / "converted";
    fs::remove_all(folder);
    convert({.model = test::tiny("st_mean_norm"), .output = folder, .scheme = kind.scheme});
    return folder;
  }
  // A copy in which `change` gets the scales of the matrix.
  fs::path damaged(const fs::path& folder, const char* matrix,
                   const std::function<void(test::RawTensor&)>& change) {
    const fs::path copy = parent_ / "damaged";
    fs::remove_all(copy);
    return test::changed_copy(folder, copy, [&](test::RawTensors& tensors) {
      const auto found = std::ranges::find_if(
          tensors, [&](const auto& t) { return t.first.ends_with(std::string(matrix) + ".scales"); });
      ASSERT_NE(found, tensors.end()) << matrix;
      change(found->second);
    });
  }
  static std::vector<EngineKind> engines() {
    return mlx_status().available ? std::vector{EngineKind::cpu, EngineKind::mlx}
                                  : std::vector{EngineKind::cpu};
  }
  static std::vector<float> vectors(const fs::path& folder, EngineKind engine,
                                    Activations activations = Activations::float32) {
    return Encoder::load(folder, {.engine = engine, .activations = activations}).embed(kTexts).values;
  }
};

// The vectors of two texts are compared as one: both have length 1.
double similarity(const std::vector<float>& a, const std::vector<float>& b) {
  return cosine(std::span(a), std::span(b));
}

TEST_F(Scales, NegativeOnesAreSignsOnBothEngines) {
  for (const Kind& kind : kKinds) {
    if (!kind.has_signs) continue;
    SCOPED_TRACE(to_string(kind.scheme));
    const fs::path whole = converted(kind);
    const fs::path folder = damaged(whole, "layer.0.intermediate.dense", [&](test::RawTensor& scales) {
      const size_t bytes = kind.nan.size();  // the sign is the highest bit of the last byte
      for (size_t i = bytes - 1; i < scales.data.size(); i += 2 * bytes) scales.data[i] ^= std::byte{0x80};
    });
    const std::vector<float> cpu = vectors(folder, EngineKind::cpu);
    EXPECT_LT(similarity(cpu, vectors(whole, EngineKind::cpu)), 0.999) << "the signs count";
    // Both engines round products of a few hundred terms to float32 or better; half floats on MLX would give 1e-3.
    if (mlx_status().available) {
      EXPECT_GT(similarity(cpu, vectors(folder, EngineKind::mlx)), 0.9999);
    }
    // 8-bit codes of activations have steps of 1/127 of a group's largest value.
    EXPECT_GT(similarity(cpu, vectors(folder, EngineKind::cpu, Activations::int8)), 0.99);
    EXPECT_GT(similarity(cpu, vectors(folder, EngineKind::cpu, Activations::bf16)), 0.999);
  }
}

TEST_F(Scales, NaNIsAnErrorThatNamesTheTextOnBothEngines) {
  const auto cat =
      static_cast<size_t>(Tokenizer::load(test::tiny("st_mean_norm"), {}).encode("cat").ids.at(1));
  for (const Kind& kind : kKinds) {
    SCOPED_TRACE(to_string(kind.scheme));
    const fs::path whole = converted(kind);
    const fs::path folder = damaged(whole, "word_embeddings", [&](test::RawTensor& scales) {
      const size_t row = scales.data.size() / static_cast<size_t>(scales.shape[0]);
      for (size_t i = 0; i < kind.nan.size(); ++i) scales.data[cat * row + i] = std::byte{kind.nan[i]};
    });
    for (const EngineKind engine : engines()) {
      EXPECT_THAT(test::error_text([&] { vectors(folder, engine); }, ErrorCode::numeric),
                  StartsWith("text 2: "));
      EXPECT_NO_THROW(Encoder::load(folder, {.engine = engine}).embed({"the road was late"}));
    }
    EXPECT_THAT(test::error_text([&] { vectors(folder, EngineKind::cpu, Activations::automatic); },
                                 ErrorCode::numeric),
                StartsWith("text 2: "));
  }
}

}  // namespace
}  // namespace mlxe::scales_test
