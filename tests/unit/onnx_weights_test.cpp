// Model folders whose weights are an ONNX export: the same models as with safetensors.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "format/checkpoint.h"
#include "format/weight_file_folder.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/encoder.h"
#include "mlx_encoder/inspect.h"
#include "model_folders.h"

namespace mlxe::onnx_weights_test {
namespace {

namespace fs = std::filesystem;
using test::error_text;
using test::tiny;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const fs::path kGolden = fs::path(MLXE_TEST_DATA) / "onnx";

class OnnxWeights : public ::testing::Test {
 protected:
  test::TemporaryFolder folder_;
  test::Heard heard_;
  fs::path model_ = folder_ / "model";

  // The tiny folder without weights, and an export as `at` in it.
  void use(const std::string& name, const std::string& golden, const fs::path& at = "onnx/model.onnx") {
    fs::remove_all(model_);
    fs::copy(tiny(name), model_, fs::copy_options::recursive);
    fs::remove(model_ / "model.safetensors");
    fs::create_directories((model_ / at).parent_path());
    fs::copy_file(kGolden / golden, model_ / at);
  }
  Checkpoint open() { return Checkpoint::open(model_, heard_.warning()); }
};

std::vector<float> vectors(const fs::path& folder) {
  const nlohmann::json texts = read_json(tiny("texts.json")).at("texts");
  const Encoder encoder = Encoder::load(folder, {.engine = EngineKind::cpu});
  const Vectors result = encoder.embed(texts.get<std::vector<std::string>>());
  return {result.values.begin(), result.values.end()};
}

// onnxruntime's vectors. Both sum the same float32 products in another order, as golden.h's kParityTolerance explains: 1e-5 of the
// largest value. The twin below changes one weight.
constexpr double kTolerance = 1e-5;

std::vector<float> onnxruntimes(const std::string& name) {
  return to_floats(*SafetensorsFile(kGolden / "vectors.safetensors").find(name));
}

TEST_F(OnnxWeights, GiveOnnxruntimesVectors) {
  for (const std::string name : {"bert", "mpnet", "modernbert"}) {
    use(name, name + ".onnx");
    const double error = test::relative_error(vectors(model_), onnxruntimes(name));
    EXPECT_LE(error, kTolerance) << name;
    RecordProperty(name, fmt::format("{:.1e}", error));
  }
}

TEST_F(OnnxWeights, AChangedWeightChangesTheVectors) {
  use("bert", "bert.onnx");
  const Checkpoint checkpoint = open();
  const std::span<const std::byte> norm = checkpoint.find("embeddings.LayerNorm.weight")->view.data;
  std::string file = test::read_file(model_ / "onnx/model.onnx");
  const size_t at = file.find(std::string(reinterpret_cast<const char*>(norm.data()), norm.size()));
  ASSERT_NE(at, file.npos);
  file[at + 3] = static_cast<char>(file[at + 3] ^ 1);  // its exponent
  fs::remove(model_ / "onnx/model.onnx");
  test::write_file(model_ / "onnx/model.onnx", file);
  EXPECT_GT(test::relative_error(vectors(model_), onnxruntimes("bert")), 10 * kTolerance);
}

TEST_F(OnnxWeights, ConvertToTheSameBytes) {
  int n = 0;
  for (const std::string name : {"bert", "modernbert"})
    for (const auto& [mode, bits] :
         {std::pair(Mode::none, 0), std::pair(Mode::affine, 8), std::pair(Mode::int8, 8)}) {
      use(name, name + ".onnx");
      std::vector<std::string> weights;
      for (const fs::path& source : {tiny(name), model_}) {
        ConvertOptions options{.model = source, .output = folder_ / std::to_string(n++)};
        options.scheme = {
            .mode = mode, .bits = bits, .group_size = mode == Mode::affine ? 32 : 0, .dtype = Dtype::f16};
        options.warning = heard_.warning();
        convert(options);
        weights.push_back(test::read_file(options.output / "model.safetensors"));
        EXPECT_FALSE(fs::exists(options.output / "onnx"));
      }
      EXPECT_EQ(weights[0], weights[1]) << name << mlxe::name(mode);
    }
}

TEST_F(OnnxWeights, OfAFileThatIsNamedAreRead) {
  use("bert", "bert_external.onnx", "onnx/bert_external.onnx");
  fs::copy_file(kGolden / "bert_external.onnx_data", model_ / "onnx/bert_external.onnx_data");
  fs::copy_file(kGolden / "bert_q8.onnx", model_ / "onnx/model_quantized.onnx");
  fs::copy_file(tiny("bert") / "model.safetensors", model_ / "model.safetensors");
  const auto external = weight_file_folder(model_ / "onnx/bert_external.onnx");
  const auto quantized = weight_file_folder(model_ / "onnx/model_quantized.onnx");
  ASSERT_TRUE(external && quantized);
  EXPECT_EQ(vectors(*external), vectors(model_));
  EXPECT_NE(vectors(*quantized), vectors(model_));
  const Conversion done = convert({.model = *external, .output = folder_ / "out"});
  EXPECT_TRUE(fs::exists(done.folder / "model.safetensors"));
}

TEST_F(OnnxWeights, InSeveralFormsWantOneToBeNamed) {
  use("bert", "bert_q8.onnx", "onnx/model_quantized.onnx");
  EXPECT_FALSE(open().weight_names().empty());
  EXPECT_THAT(heard_.sentences, ElementsAre(HasSubstr("no model.onnx; used \"model_quantized.onnx\"")));
  fs::copy_file(kGolden / "bert_half.onnx", model_ / "onnx/model_fp16.onnx");
  EXPECT_THAT(error_text([&] { open(); }, ErrorCode::usage),
              AllOf(HasSubstr("onnx: \"model_fp16.onnx\", \"model_quantized.onnx\" are exports"),
                    HasSubstr("give the path of one of them")));
  fs::copy_file(kGolden / "bert.onnx", model_ / "onnx/model.onnx");
  heard_.sentences.clear();
  EXPECT_THAT(open().files()[0].path, model_ / "onnx/model.onnx");
  EXPECT_THAT(heard_.sentences, IsEmpty());
  // Any other weights come first, and are not compared with an export.
  fs::copy_file(tiny("bert") / "model.safetensors", model_ / "model.safetensors");
  fs::copy_file(kGolden / "bert_q8.onnx", model_ / "model.onnx");
  EXPECT_THAT(open().files()[0].path, model_ / "model.safetensors");
  EXPECT_THAT(heard_.sentences, IsEmpty());
}

TEST_F(OnnxWeights, WithExternalDataAreWatchedInBothFiles) {
  use("bert", "bert_external.onnx", "model.onnx");
  EXPECT_THAT(error_text([&] { open(); }, ErrorCode::not_found),
              HasSubstr("the file \"bert_external.onnx_data\""));
  fs::copy_file(kGolden / "bert_external.onnx_data", model_ / "bert_external.onnx_data");
  const Checkpoint checkpoint = open();
  ASSERT_EQ(checkpoint.files().size(), 2u);
  EXPECT_EQ(checkpoint.bytes(),
            fs::file_size(model_ / "model.onnx") + fs::file_size(model_ / "bert_external.onnx_data"));
  EXPECT_NO_THROW(checkpoint.require_unwritten());
  std::ofstream(model_ / "bert_external.onnx_data", std::ios::in | std::ios::binary) << "x";
  EXPECT_THAT(error_text([&] { checkpoint.require_unwritten(); }, ErrorCode::io),
              HasSubstr("bert_external.onnx_data"));
}

TEST_F(OnnxWeights, AreInspected) {
  use("bert", "bert.onnx");
  const Inspection onnx = inspect_model(model_), safetensors = inspect_model(tiny("bert"));
  EXPECT_EQ(onnx.diagnosis, Diagnosis::plain);
  EXPECT_EQ(onnx.parameters, safetensors.parameters);
  EXPECT_EQ(onnx.bytes, fs::file_size(model_ / "onnx/model.onnx"));
  for (const ReaderVerdict& reader : onnx.readers)
    EXPECT_EQ(reader.loads, reader.reader == "mlx-encoder") << reader.reader;
  EXPECT_THAT(onnx.readers.back().why, Contains("model.onnx is not named model*.safetensors"));
}

// Real codes in the file, which are read as floats: neither floats without a history nor fake quantization.
TEST_F(OnnxWeights, OfCodesAreSaidToBeQuantizedAlready) {
  for (const auto& [golden, form, bits] :
       {std::tuple("bert_q8.onnx", "8-bit codes", 20.0), std::tuple("bert_q4.onnx", "4-bit codes", 16.0)}) {
    use("bert", golden);
    const Inspection inspection = inspect_model(model_);
    EXPECT_EQ(inspection.diagnosis, Diagnosis::plain);
    EXPECT_THAT(inspection.evidence, Contains(AllOf(HasSubstr("stored quantized ("), HasSubstr(form))));
    EXPECT_LT(inspection.bits_per_weight, bits) << golden;
    const ConversionPlan plan =
        plan_conversion({.model = model_, .scheme = {Mode::affine, 8, 32, Dtype::f16}});
    EXPECT_THAT(plan.warnings,
                Contains(AllOf(HasSubstr("stored quantized ("), HasSubstr("second rounding"))));
  }
  use("bert", "bert.onnx");  // the twin
  EXPECT_THAT(plan_conversion({.model = model_, .scheme = {Mode::affine, 8, 32, Dtype::f16}}).warnings,
              ::testing::Not(Contains(HasSubstr("second rounding"))));
}

}  // namespace
}  // namespace mlxe::onnx_weights_test
