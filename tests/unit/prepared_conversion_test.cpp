// The two phases of a conversion: write() writes the plan, and nothing is planned twice.
#include "convert/prepared_conversion.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "base/sha256.h"
#include "convert/pending_conversion.h"
#include "model_folders.h"

namespace mlxe::test::prepared_conversion_test {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr Scheme kAffine8{.mode = Mode::affine, .bits = 8, .group_size = 32, .dtype = Dtype::f16};
constexpr Scheme kAffine4{.mode = Mode::affine, .bits = 4, .group_size = 32, .dtype = Dtype::f16};
constexpr const char* kQuery = "encoder.layer.0.attention.self.query.weight";

TEST(PreparedConversion, WithAnotherAllocationIsWhatPreparingItGives) {
  const TemporaryFolder folder;
  ConvertOptions options{.model = tiny("bert_prefix"), .output = folder / "with", .scheme = kAffine8};
  const PreparedConversion base = prepare(options);
  const PreparedConversion changed = base.with(kAffine4, {{kQuery, kAffine8}});
  convert(changed, {});

  options.scheme = kAffine4;
  options.allocation = {{kQuery, kAffine8}};
  options.output = folder / "anew";
  const PreparedConversion anew = prepare(options);
  EXPECT_EQ(changed.digest(), anew.digest());
  EXPECT_EQ(changed.texts(), anew.texts());
  EXPECT_EQ(changed.plan().predicted_bytes, anew.plan().predicted_bytes);
  EXPECT_EQ(changed.plan().folder_bytes, anew.plan().folder_bytes);
  EXPECT_NE(changed.digest(), base.digest());  // the twin
  convert(anew, {});
  for (const char* file :
       {"model.safetensors", "config.json", "README.md", "mlx_encoder.json", "mlx_encoder_golden.json"})
    EXPECT_EQ(sha256_hex(folder / "with" / file), sha256_hex(folder / "anew" / file)) << file;
}

TEST(PreparedConversion, CalibratesWithoutAnotherPlan) {
  PreparedConversion prepared = prepare({.model = tiny("bert"), .scheme = kAffine4});
  const std::string plain = prepared.digest();
  prepared.calibrate({});
  EXPECT_NE(prepared.digest(), plain);
  ConvertOptions options{.model = tiny("bert"), .scheme = kAffine4};
  options.calibration = Calibration{};
  EXPECT_EQ(prepared.digest(), prepare(options).digest());
  PreparedConversion int8 = prepare({.model = tiny("bert"), .scheme = {.mode = Mode::int8, .bits = 8}});
  EXPECT_THAT(error_text([&] { int8.calibrate({}); }, ErrorCode::usage), HasSubstr("expected affine"));
}

TEST(PreparedConversion, SaysItsWarningsOnlyWhenAsked) {
  std::vector<std::string> said;
  ConvertOptions options{
      .model = tiny("distilbert_cls"), .scheme = kAffine8, .layout = Layout::mlx_embeddings};
  options.warning = [&](std::string_view sentence) { said.emplace_back(sentence); };
  const PreparedConversion prepared = prepare(options);
  ASSERT_FALSE(prepared.plan().warnings.empty());
  EXPECT_THAT(said, IsEmpty());
  prepared.report_warnings();
  EXPECT_EQ(said, prepared.plan().warnings);
  options.strict = true;
  const PreparedConversion strict = prepare(options);
  EXPECT_THAT(error_text([&] { strict.report_warnings(); }, ErrorCode::strict), HasSubstr("under --strict"));
}

TEST(PendingConversion, GetsItsNameByCommitAlone) {
  const TemporaryFolder folder;
  const fs::path output = folder / "out";
  const PreparedConversion eight = prepare({.model = tiny("bert"), .output = output, .scheme = kAffine8});
  const PreparedConversion four = eight.with(kAffine4, {});
  {
    const FolderClaim claim(output, IfExists::refuse, {tiny("bert")});
    PendingConversion first = eight.write(claim, {});
    const PendingConversion second = four.write(claim, {});
    EXPECT_NE(first.folder(), second.folder());
    EXPECT_FALSE(fs::exists(output));
    EXPECT_EQ(first.commit().bytes, eight.plan().predicted_bytes);
  }
  EXPECT_THAT(names_in(folder.path()), ElementsAre("out"));
  EXPECT_TRUE(eight.is_written());
  EXPECT_THAT(error_text([&] { four.is_written(); }, ErrorCode::usage), HasSubstr("another conversion"));
}

// A conversion that waits for its name is not taken for the remains of a killed one.
TEST(PendingConversion, LeavesNoStepsOfItsCalibration) {
  const TemporaryFolder folder;
  const Calibration calibration{.texts = {{.text = "a text", .pair = {}}, {.text = "another", .pair = {}}},
                                .built_in = BuiltInText::left_out};
  PreparedConversion eight = prepare({.model = tiny("bert"), .output = folder / "out", .scheme = kAffine8});
  eight.calibrate(calibration);
  const PreparedConversion four = eight.with(kAffine4, {});
  const FolderClaim claim(folder / "out", IfExists::refuse, {tiny("bert")});
  const PendingConversion first = eight.write(claim, {});
  const Conversion done = four.write(claim, {}).commit();
  EXPECT_FALSE(done.calibration.empty());
  EXPECT_THAT(done.plan.notes, Not(Contains(HasSubstr("another calibration"))));
}

TEST(PreparedConversion, VerifiesWhatWasWrittenAgainstItsOwnPlan) {
  const TemporaryFolder folder;
  const PreparedConversion eight =
      prepare({.model = tiny("bert"), .output = folder / "out", .scheme = kAffine8});
  convert(eight, {});
  EXPECT_NO_THROW(eight.verify(folder / "out"));
  EXPECT_THAT(error_text([&] { eight.with(kAffine4, {}).verify(folder / "out"); }, ErrorCode::internal),
              HasSubstr("were predicted"));
}

}  // namespace
}  // namespace mlxe::test::prepared_conversion_test
