// Models that are named by one of their weight files.
#include "format/weight_file_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "base/leftovers.h"
#include "format/linked_folders.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/encoder.h"
#include "mlx_encoder/hub.h"
#include "mlx_encoder/inspect.h"
#include "model_folders.h"

namespace mlxe::weight_file_folder_test {
namespace {

namespace fs = std::filesystem;
using test::error_text;
using test::tiny;
using ::testing::HasSubstr;

class WeightFileFolder : public ::testing::Test {
 protected:
  WeightFileFolder() { fs::copy(tiny("bert_mlm"), model_, fs::copy_options::recursive); }

  static std::vector<float> vector(const fs::path& model) {
    const Encoder encoder = Encoder::load(model, {.engine = EngineKind::cpu});
    const Vectors result = encoder.embed(std::vector<std::string>{"The cat sat on the warm piano."});
    return {result.values.begin(), result.values.end()};
  }

  test::TemporaryFolder folder_;
  fs::path model_ = folder_ / "name";
};

TEST_F(WeightFileFolder, HasThatFileAsItsOnlyWeights) {
  fs::create_directories(model_ / "torch");
  fs::copy_file(fs::path(MLXE_TEST_DATA) / "torch/bert_mlm.bin", model_ / "torch/other.bin");
  const std::vector<float> expected = vector(model_);
  test::write_file(model_ / "model.safetensors", "not weights");
  const auto made = weight_file_folder(model_ / "torch/other.bin");
  ASSERT_TRUE(made);
  EXPECT_EQ(made->filename(), "name");
  EXPECT_FALSE(fs::exists(*made / "model.safetensors"));
  EXPECT_EQ(vector(*made), expected);
  EXPECT_EQ(weight_file_folder(model_ / "torch/other.bin"), made);
  EXPECT_EQ(model_folder((model_ / "torch/other.bin").string()), *made);
}

TEST_F(WeightFileFolder, IsMadeOfAConvertedFolder) {
  convert({.model = model_, .output = folder_ / "converted", .scheme = {.dtype = Dtype::f16}});
  const auto made = weight_file_folder(folder_ / "converted/model.safetensors");
  ASSERT_TRUE(made);
  EXPECT_EQ(vector(*made), vector(folder_ / "converted"));
  EXPECT_THAT(changed_files(*made), ::testing::IsEmpty());
}

TEST_F(WeightFileFolder, IsShownAsWhatTheUserNamed) {
  fs::create_directories(model_ / "torch");
  fs::copy_file(fs::path(MLXE_TEST_DATA) / "torch/bert_mlm.bin", model_ / "torch/other.bin");
  const fs::path weights = model_ / "torch/other.bin", made = *weight_file_folder(weights);
  EXPECT_EQ(with_shown_paths(made.string() + ": odd, " + (made / "config.json").string() + ": no"),
            model_.string() + ": odd, " + (model_ / "config.json").string() + ": no");
  EXPECT_EQ(with_shown_paths((made / "pytorch_model.bin").string() + ": x"), weights.string() + ": x");
  EXPECT_EQ(with_shown_paths("nothing of " + model_.string()), "nothing of " + model_.string());
}

TEST_F(WeightFileFolder, OutlivesAForkedChild) {
  const fs::path made = *weight_file_folder(model_ / "model.safetensors");
  EXPECT_EXIT(
      {
        leftovers::remove_all();
        ::_exit(0);
      },
      ::testing::ExitedWithCode(0), "");
  EXPECT_TRUE(fs::exists(made / "config.json"));
  EXPECT_EXIT(std::exit(0), ::testing::ExitedWithCode(0), "");
  EXPECT_TRUE(fs::exists(made / "config.json"));
}

TEST_F(WeightFileFolder, KeepsTheFilesItReadsFromBeingReplaced) {
  const std::string before = test::read_file(model_ / "model.safetensors");
  const fs::path made = *weight_file_folder(model_ / "model.safetensors");
  for (const fs::path& output : {model_, folder_.path()})
    EXPECT_THAT(error_text([&] { convert({.model = made, .output = output, .if_done = IfDone::rewrite}); },
                           ErrorCode::usage),
                HasSubstr("which this run reads"));
  EXPECT_TRUE(test::read_file(model_ / "model.safetensors") == before);
}

TEST_F(WeightFileFolder, KeepsTheWeightsOfModules) {
  const fs::path sentence = folder_ / "sentence";
  fs::copy(tiny("st_dense"), sentence, fs::copy_options::recursive);
  const auto made = weight_file_folder(sentence / "model.safetensors");
  ASSERT_TRUE(made);
  EXPECT_EQ(vector(*made), vector(sentence));
}

TEST_F(WeightFileFolder, IsForWeightFilesOfAModelAlone) {
  EXPECT_EQ(weight_file_folder(model_), std::nullopt);
  EXPECT_EQ(weight_file_folder(model_ / "config.json"), std::nullopt);
  EXPECT_EQ(weight_file_folder(model_ / "none.bin"), std::nullopt);
  test::write_file(folder_ / "a/b/alone.bin", "");
  EXPECT_THAT(error_text([&] { weight_file_folder(folder_ / "a/b/alone.bin"); }, ErrorCode::not_found),
              HasSubstr("alone.bin: no config.json beside it or in the folder above"));
}

}  // namespace
}  // namespace mlxe::weight_file_folder_test
