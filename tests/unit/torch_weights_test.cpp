// Model folders whose weights are files of torch.save: the same models as with safetensors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine_mlx/mlx_engine.h"
#include "format/checkpoint.h"
#include "mlx_encoder/calibration.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/encoder.h"
#include "mlx_encoder/inspect.h"
#include "model_folders.h"

namespace mlxe::torch_weights_test {
namespace {

namespace fs = std::filesystem;
using test::error_text;
using test::tiny;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const fs::path kGolden = fs::path(MLXE_TEST_DATA) / "torch";
const fs::path kCheckpoints = fs::path(MLXE_TEST_DATA) / "checkpoints";

class TorchWeights : public ::testing::Test {
 protected:
  test::TemporaryFolder folder_;
  test::Heard heard_;
  fs::path model_ = folder_ / "model";

  // tiny/bert_mlm with torch's file in place of its weights. Tied weights are in it twice.
  void use_bert(const char* name = "pytorch_model.bin") {
    fs::copy(tiny("bert_mlm"), model_, fs::copy_options::recursive);
    fs::remove(model_ / "model.safetensors");
    fs::copy_file(kGolden / "bert_mlm.bin", model_ / name);
  }
  Checkpoint open() { return Checkpoint::open(model_, heard_.warning()); }
};

std::vector<float> vectors(const fs::path& folder, EngineKind engine, const Warning& warn = {}) {
  const Encoder encoder = Encoder::load(folder, {.engine = engine, .warning = warn});
  const Vectors result =
      encoder.embed(std::vector<std::string>{"The cat sat on the warm piano.", "A question"});
  return {result.values.begin(), result.values.end()};
}

TEST_F(TorchWeights, GiveTheSameBitsOnBothEngines) {
  use_bert();
  for (const EngineKind engine : {EngineKind::cpu, EngineKind::mlx}) {
    if (engine == EngineKind::mlx && !mlx_status().available) GTEST_SKIP() << mlx_status().reason;
    const std::vector<float> expected = vectors(tiny("bert_mlm"), engine);
    EXPECT_FALSE(expected.empty());
    EXPECT_EQ(vectors(model_, engine, heard_.warning()), expected);
    EXPECT_THAT(heard_.sentences, Each(HasSubstr("mean pooling was assumed")));
  }
}

// The twin: one changed byte of the file shows.
TEST_F(TorchWeights, AChangedByteChangesTheVectors) {
  use_bert();
  const Checkpoint checkpoint = open();
  const std::span<const std::byte> table = checkpoint.find("bert.embeddings.LayerNorm.weight")->view.data;
  std::string file = test::read_file(model_ / "pytorch_model.bin");
  const size_t at = file.find(std::string(reinterpret_cast<const char*>(table.data()), table.size()));
  ASSERT_NE(at, file.npos);
  file[at + 3] = static_cast<char>(file[at + 3] ^ 1);  // its exponent
  fs::remove(model_ / "pytorch_model.bin");
  test::write_file(model_ / "pytorch_model.bin", file);
  EXPECT_NE(vectors(model_, EngineKind::cpu), vectors(tiny("bert_mlm"), EngineKind::cpu));
}

TEST_F(TorchWeights, ConvertToTheSameBytes) {
  use_bert();
  int n = 0;
  for (const auto& [mode, bits, calibration] :
       {std::tuple(Mode::none, 0, false), std::tuple(Mode::affine, 8, false),
        std::tuple(Mode::affine, 4, true), std::tuple(Mode::int8, 8, false),
        std::tuple(Mode::mxfp4, 4, false)}) {
    const bool has_groups = mode == Mode::affine || mode == Mode::mxfp4;
    std::vector<std::string> weights, configs;
    for (const fs::path& source : {tiny("bert_mlm"), model_}) {
      ConvertOptions options{.model = source, .output = folder_ / std::to_string(n++)};
      options.scheme = {.mode = mode, .bits = bits, .group_size = has_groups ? 32 : 0, .dtype = Dtype::f16};
      options.warning = heard_.warning();
      if (calibration) options.calibration = Calibration{.texts = {{"The cat sat on the warm piano.", {}}}};
      convert(options);
      weights.push_back(test::read_file(options.output / "model.safetensors"));
      configs.push_back(test::read_file(options.output / "config.json"));
      EXPECT_THAT(test::names_in(options.output), Not(Contains(HasSubstr(".bin"))));
    }
    EXPECT_EQ(weights[0], weights[1]) << name(mode);
    EXPECT_EQ(configs[0], configs[1]) << name(mode);
  }
}

TEST_F(TorchWeights, OfADenseModuleAreReadAndCarried) {
  fs::copy(tiny("st_dense"), model_, fs::copy_options::recursive);
  fs::remove(model_ / "2_Dense/model.safetensors");
  EXPECT_THAT(error_text([&] { vectors(model_, EngineKind::cpu); }, ErrorCode::not_found),
              HasSubstr("2_Dense: no model.safetensors or pytorch_model.bin"));
  fs::copy_file(kGolden / "dense.bin", model_ / "2_Dense/pytorch_model.bin");
  EXPECT_EQ(vectors(model_, EngineKind::cpu, heard_.warning()), vectors(tiny("st_dense"), EngineKind::cpu));
  EXPECT_THAT(heard_.sentences, IsEmpty());
  const Scheme scheme{.mode = Mode::affine, .bits = 8, .group_size = 32, .dtype = Dtype::f16};
  convert({.model = model_, .output = folder_ / "bin", .scheme = scheme});
  convert({.model = tiny("st_dense"), .output = folder_ / "safetensors", .scheme = scheme});
  EXPECT_EQ(vectors(folder_ / "bin", EngineKind::cpu), vectors(folder_ / "safetensors", EngineKind::cpu));
}

// An engine gives pages of the mapped file back to the system, never those of a copy.
TEST_F(TorchWeights, ThatWereCopiedAreNotMapped) {
  test::write_file(model_ / "config.json", "{}");
  fs::copy_file(kGolden / "zip2.bin", model_ / "pytorch_model.bin");
  const Checkpoint checkpoint = open();
  EXPECT_TRUE(checkpoint.stored("table").mapped);
  const StoredWeight copied = checkpoint.stored("transposed");
  EXPECT_FALSE(copied.mapped);
  const std::vector<std::byte> before(copied.codes.begin(), copied.codes.end());
  checkpoint.release(copied.codes);
  EXPECT_TRUE(std::ranges::equal(copied.codes, before));
}

TEST_F(TorchWeights, InShardsAreReadByTheirIndex) {
  const Checkpoint bin = Checkpoint::open(kCheckpoints / "sharded_bin", heard_.warning());
  const Checkpoint safetensors = Checkpoint::open(kCheckpoints / "sharded", heard_.warning());
  EXPECT_THAT(heard_.sentences, IsEmpty());
  EXPECT_EQ(bin.files().size(), 3u);
  ASSERT_EQ(bin.weight_names().size(), 5u);
  for (const std::string& name : safetensors.weight_names())
    EXPECT_TRUE(std::ranges::equal(bin.stored(name).codes, safetensors.stored(name).codes)) << name;

  fs::copy(kCheckpoints / "sharded_bin", model_);
  fs::remove(model_ / "pytorch_model-00002-of-00003.bin");
  EXPECT_THAT(
      error_text([&] { open(); }, ErrorCode::not_found),
      HasSubstr("\"pytorch_model-00002-of-00003.bin\" named by pytorch_model.bin.index.json missing"));
  fs::remove(model_ / "pytorch_model.bin.index.json");
  EXPECT_THAT(error_text([&] { open(); }, ErrorCode::not_found), HasSubstr("shard 2 of 3 is missing"));
  test::write_file(model_ / "pytorch_model.bin.index.json", R"({"weight_map": {"a": "model.safetensors"}})");
  EXPECT_THAT(error_text([&] { open(); }, ErrorCode::format), HasSubstr("expected the name of a .bin file"));
}

TEST_F(TorchWeights, UnderOtherNamesAreUsedAndSaid) {
  use_bert("model.pth");
  EXPECT_FALSE(open().weight_names().empty());
  EXPECT_THAT(heard_.sentences,
              ElementsAre(HasSubstr("no pytorch_model.bin.index.json; used \"model.pth\"")));
  fs::copy_file(kGolden / "dense.bin", model_ / "model.pt");
  EXPECT_EQ(open().files().size(), 2u);
  fs::remove(model_ / "model.pt");
  fs::copy_file(model_ / "model.pth", model_ / "model.pt");
  EXPECT_THAT(error_text([&] { open(); }, ErrorCode::format), HasSubstr("is in both model.pt and model.pth"));
}

TEST_F(TorchWeights, BesideSafetensorsAreReadOnlyToCompare) {
  use_bert();
  fs::copy_file(tiny("bert_mlm") / "model.safetensors", model_ / "model.safetensors");
  EXPECT_THAT(open().files()[0].path.filename(), "model.safetensors");
  EXPECT_THAT(heard_.sentences, IsEmpty());  // most repositories hold both

  test::RawTensors tensors = test::read_tensors(model_ / "model.safetensors");
  tensors.at("cls.predictions.bias").data[0] ^= std::byte{1};
  test::write_tensors(model_ / "model.safetensors", tensors);
  open();
  EXPECT_THAT(heard_.sentences,
              ElementsAre(AllOf(HasSubstr("model.safetensors and pytorch_model.bin are not the same weights"),
                                HasSubstr("(\"cls.predictions.bias\" differs); the first is read"))));
  test::write_file(model_ / "pytorch_model.bin", "no file of torch");
  open();
  EXPECT_EQ(heard_.sentences.size(), 1u);
}

TEST_F(TorchWeights, InOtherFormatsAreNamed) {
  for (const auto& [file, maker] :
       {std::pair("tf_model.h5", "TensorFlow"), std::pair("flax_model.msgpack", "Flax"),
        std::pair("rust_model.ot", "Rust")}) {
    test::write_file(model_ / "config.json", "{}");
    test::write_file(model_ / file, "x");
    EXPECT_THAT(
        error_text([&] { open(); }, ErrorCode::unsupported),
        AllOf(HasSubstr(std::string("the only weights are \"") + file + "\", of " + maker),
              HasSubstr(
                  "model.safetensors, pytorch_model.bin, weights.npz, model.onnx and model.gguf are read")));
    fs::remove_all(model_);
  }
}

TEST_F(TorchWeights, AreInspected) {
  use_bert();
  const Inspection bin = inspect_model(model_), safetensors = inspect_model(tiny("bert_mlm"));
  EXPECT_EQ(bin.diagnosis, Diagnosis::plain);
  // The file also has the decoder, whose matrix and bias are tied.
  const uint64_t words = 212, width = 32;
  EXPECT_EQ(bin.parameters, safetensors.parameters + words * (width + 1));
  EXPECT_EQ(bin.bytes, fs::file_size(model_ / "pytorch_model.bin"));
  EXPECT_EQ(bin.bytes_at_8_bits, safetensors.bytes_at_8_bits);
  for (const ReaderVerdict& reader : bin.readers)
    EXPECT_EQ(reader.loads, reader.reader == "mlx-encoder") << reader.reader;
  EXPECT_THAT(bin.readers.back().why, Contains("pytorch_model.bin is not named model*.safetensors"));
}

TEST_F(TorchWeights, ThatWantToRunSomethingAreRefused) {
  fs::copy(tiny("bert_mlm"), model_, fs::copy_options::recursive);
  fs::remove(model_ / "model.safetensors");
  fs::copy_file(kGolden / "refused_module.bin", model_ / "pytorch_model.bin");
  EXPECT_THAT(
      error_text([&] { open(); }, ErrorCode::unsupported),
      AllOf(HasSubstr("pytorch_model.bin: the pickle wants to call \"torch.nn.modules.linear.Linear\""),
            HasSubstr("nothing was called")));
}

}  // namespace
}  // namespace mlxe::torch_weights_test
