// The golden of `verify` has what the heads of sparse and token vectors give.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "golden.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/verify.h"
#include "model_folders.h"

namespace mlxe::verify_heads_test {
namespace {

using test::tiny;
using ::testing::Contains;
using ::testing::HasSubstr;

struct Head {
  const char* folder;
  const char* output;
  const char* file;       // where its weights are
  const char* parameter;  // one of them
};
constexpr Head kHeads[] = {
    {"splade", "term_weights", "model.safetensors", "cls.predictions.transform.dense.weight"},
    {"splade_distil", "term_weights", "model.safetensors", "vocab_transform.weight"},
    {"colbert", "token_vectors", "1_Dense/model.safetensors", "1_Dense/linear.weight"},
    {"colbert_stanford", "token_vectors", "model.safetensors", "linear.weight"},
    {"bge_m3", "all_vectors", "sparse_linear.pt", "sparse_linear.weight"},
    {"bge_m3", "all_vectors", "colbert_linear.pt", "colbert_linear.weight"}};

VerifyReport verify_on(const char* engine, const std::filesystem::path& folder,
                       const std::filesystem::path& against = {}) {
  return verify(folder, {.engine = parse_engine(engine), .against = against});
}

// Changes the signs of some values of the head in the file.
void damage(const std::filesystem::path& folder, const Head& head) {
  const LoadedModel loaded = load_model(folder, {});
  const Parameter& p = *std::ranges::find(loaded.model.plan.parameters, head.parameter, &Parameter::name);
  const StoredWeight stored = stored_weight(loaded.checkpoint, loaded.sentence, p);
  std::string bytes = test::read_file(folder / head.file);
  const std::string codes(reinterpret_cast<const char*>(stored.codes.data()), stored.codes.size());
  const size_t first = bytes.find(codes);
  ASSERT_NE(first, bytes.npos) << head.parameter;
  for (size_t i = size_of(stored.dtype) - 1; i < codes.size(); i += 3 * size_of(stored.dtype))
    bytes[first + i] = static_cast<char>(bytes[first + i] ^ '\x80');
  test::write_file(folder / head.file, bytes);
}

TEST(VerifyHeads, AreRunOnBothEngines) {
  for (const Head& head : kHeads) {
    SCOPED_TRACE(head.parameter);
    const test::TemporaryFolder folder;
    convert(
        {.model = tiny(head.folder), .output = folder / "q", .scheme = {Mode::affine, 8, 32, Dtype::f32}});
    std::filesystem::copy(tiny(head.folder), folder / "m", std::filesystem::copy_options::recursive);
    verify(folder / "m", {.engine = EngineKind::cpu, .save_golden = folder / "golden.json"});
    for (const char* engine : {"cpu", "mlx"}) {
      std::string why_not;
      if (!test::make_engine(engine, why_not)) continue;
      const VerifyReport report = verify_on(engine, folder / "q");
      EXPECT_EQ(report.output, head.output);
      EXPECT_EQ(report.verdict, Verdict::passed)
          << engine << fmt::format("{}", fmt::join(report.failures, "; "));
      EXPECT_EQ(verify_on(engine, folder / "q", folder / "golden.json").verdict, Verdict::passed) << engine;
    }
    // The twin.
    damage(folder / "m", head);
    EXPECT_THAT(verify_on("cpu", folder / "m", folder / "golden.json").failures,
                Contains(HasSubstr("mean cosine")));
  }
}

}  // namespace
}  // namespace mlxe::verify_heads_test
