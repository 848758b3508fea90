#include "format/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "format/safetensors.h"
#include "test_files.h"

namespace mlxe::checkpoint_test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

const fs::path kGolden = fs::path(MLXE_TEST_DATA) / "checkpoints";

void write_tensors(const fs::path& path, const std::vector<TensorSpec>& specs) {
  SafetensorsWriter writer(path, specs, {{"format", "pt"}});
  for (const TensorSpec& spec : specs) writer.write(spec.name, std::vector<std::byte>(spec.bytes()));
  writer.finish();
}

class CheckpointTest : public ::testing::Test {
 protected:
  test::TemporaryFolder folder_;
  test::Heard heard_;

  void config(std::string_view text) { test::write_file(folder_ / "config.json", text); }
  void tensors(const std::vector<TensorSpec>& specs, std::string_view file = "model.safetensors") {
    write_tensors(folder_ / file, specs);
  }
  void index(std::string_view text) { test::write_file(folder_ / "model.safetensors.index.json", text); }
  Checkpoint open() { return Checkpoint::open(folder_.path(), heard_.warning()); }
  std::string open_error(ErrorCode code) {
    return test::error_text([&] { open(); }, code);
  }
  std::string stored_error(std::string_view name, ErrorCode code = ErrorCode::format) {
    const Checkpoint checkpoint = open();
    return test::error_text([&] { checkpoint.stored(name); }, code);
  }
};

// ---- folders and files

TEST_F(CheckpointTest, MissingThingsAreNamed) {
  EXPECT_THAT(test::error_text([] { Checkpoint::open("/no/such/folder"); }, ErrorCode::not_found),
              HasSubstr("/no/such/folder: no such folder"));
  EXPECT_THAT(open_error(ErrorCode::not_found), HasSubstr("config.json"));
  config("{}");
  EXPECT_THAT(open_error(ErrorCode::not_found), HasSubstr("no weights; expected model.safetensors"));
  EXPECT_THAT(test::error_text([&] { Checkpoint::open(folder_ / "config.json"); }, ErrorCode::not_found),
              HasSubstr("not a folder"));
}

TEST(CheckpointFolder, ANameOnTheHubIsSaidToBeOne) {
  for (const char* name : {"sentence-transformers/all-MiniLM-L6-v2", "bert-base-uncased", "a/b.c_1"})
    EXPECT_THAT(test::error_text([&] { Checkpoint::open(name); }, ErrorCode::not_found),
                AllOf(StartsWith(std::string(name) +
                                 ": no such folder; if it is a model's name on the Hugging Face hub"),
                      HasSubstr("model_folder() of mlx_encoder/hub.h")));
  for (const char* path : {"./model", "/no/such", "a/b/c", "../m", "out/", "my model", ""})
    EXPECT_THAT(test::error_text([&] { Checkpoint::open(path); }, ErrorCode::not_found),
                AllOf(HasSubstr("no such folder; give a model folder"), Not(HasSubstr("hub"))))
        << path;
}

TEST_F(CheckpointTest, AFolderOfTheCacheSaysWhereTheModelIs) {
  fs::create_directories(folder_ / "snapshots" / "0123");
  EXPECT_THAT(open_error(ErrorCode::not_found), HasSubstr("give the one in its snapshots folder"));
}

TEST_F(CheckpointTest, AnAdapterBesideWeightsIsSaid) {
  config("{}");
  tensors({{"a.weight", Dtype::f16, {2, 3}}});
  test::write_file(folder_ / "adapter_config.json", "{}");
  open();
  EXPECT_THAT(heard_.sentences,
              ElementsAre(AllOf(HasSubstr("holds an adapter beside the weights (adapter_config.json)"),
                                HasSubstr("not applied"))));
  fs::remove(folder_ / "model.safetensors");
  EXPECT_THAT(open_error(ErrorCode::unsupported),
              HasSubstr("holds an adapter (adapter_config.json), not a model"));
}

TEST_F(CheckpointTest, WeightsUnderAWrappersPrefixAreReadWithoutIt) {
  config("{}");
  const std::string anchor = "embeddings.word_embeddings.weight";
  for (const auto& [prefix, own] :
       {std::pair("model.", ""), {"module.", "bert."}, {"0.auto_model.", ""}, {"a.b.c.", "bert."}}) {
    const std::string all = std::string(prefix) + own;
    tensors({{all + anchor, Dtype::f32, {2, 3}},
             {all + "LayerNorm.gamma", Dtype::f32, {3}},
             {std::string(prefix) + "classifier.weight", Dtype::f32, {2, 3}},
             {"other.weight", Dtype::f32, {2}}});
    Checkpoint checkpoint = open();
    checkpoint.canonicalize("bert");
    EXPECT_EQ(checkpoint.foreign_prefix(), prefix);
    EXPECT_THAT(checkpoint.weight_names(),
                UnorderedElementsAre(anchor, "LayerNorm.weight", "classifier.weight", "other.weight"));
  }
}

TEST_F(CheckpointTest, NamesWithoutAWrappersPrefixStay) {
  config("{}");
  const std::string anchor = "embeddings.word_embeddings.weight";
  // The model's own names win over a copy under a prefix. A name that only ends in the same word has no
  // prefix.
  for (const std::string& name : {anchor, "bert." + anchor}) {
    tensors({{name, Dtype::f32, {2, 3}}, {"teacher." + anchor, Dtype::f32, {2, 3}}});
    Checkpoint checkpoint = open();
    checkpoint.canonicalize("bert");
    EXPECT_EQ(checkpoint.foreign_prefix(), "") << name;
    EXPECT_TRUE(checkpoint.has("teacher." + anchor)) << name;
  }
  tensors({{"tok_" + anchor, Dtype::f32, {2, 3}}});
  Checkpoint checkpoint = open();
  checkpoint.canonicalize("bert");
  EXPECT_EQ(checkpoint.foreign_prefix(), "");
}

TEST_F(CheckpointTest, TheWeightsOfTwoModelsAreRefused) {
  config("{}");
  tensors({{"query.embeddings.word_embeddings.weight", Dtype::f32, {2, 3}},
           {"passage.bert.embeddings.word_embeddings.weight", Dtype::f32, {2, 3}}});
  Checkpoint checkpoint = open();
  EXPECT_THAT(test::error_text([&] { checkpoint.canonicalize("bert"); }, ErrorCode::format),
              HasSubstr("holds the weights of 2 models, under \"passage.\", \"query.\"; keep one model's"));
}

TEST_F(CheckpointTest, OtherFormatsAreUnsupportedInOneSentence) {
  config("{}");
  test::write_file(folder_ / "adapter_model.safetensors", "x");
  EXPECT_THAT(open_error(ErrorCode::unsupported), HasSubstr("adapter"));
  fs::remove(folder_ / "adapter_model.safetensors");
  test::write_file(folder_ / "tf_model.h5", "x");
  EXPECT_THAT(open_error(ErrorCode::unsupported),
              HasSubstr("the only weights are \"tf_model.h5\", of TensorFlow"));
  test::write_file(folder_ / "pytorch_model.bin", "x");
  EXPECT_THAT(open_error(ErrorCode::format), HasSubstr("pytorch_model.bin: 1 bytes that begin with neither"));
}

TEST_F(CheckpointTest, ReadsOneFile) {
  config("{}");
  tensors({{"a.weight", Dtype::f16, {2, 3}}, {"a.bias", Dtype::f32, {2}}});
  const Checkpoint checkpoint = open();
  EXPECT_THAT(heard_.sentences, IsEmpty());
  ASSERT_EQ(checkpoint.files().size(), 1u);
  EXPECT_EQ(checkpoint.bytes(), fs::file_size(folder_ / "model.safetensors"));
  EXPECT_THAT(checkpoint.weight_names(), ElementsAre("a.weight", "a.bias"));
  const StoredWeight weight = checkpoint.stored("a.weight");
  EXPECT_EQ(weight.scheme, (Scheme{.mode = Mode::none, .dtype = Dtype::f16}));
  EXPECT_EQ(weight.dtype, Dtype::f16);
  EXPECT_EQ(weight.shape, (Shape{2, 3}));
  EXPECT_EQ(weight.codes.size(), 12u);
  EXPECT_EQ(weight.bytes(), 12u);
  checkpoint.release(weight.codes);
  EXPECT_THAT(test::error_text([&] { checkpoint.stored("b.weight"); }, ErrorCode::format),
              HasSubstr("the tensor \"b.weight\" is missing"));
}

TEST_F(CheckpointTest, ReadsShardsAsHuggingFaceWritesThem) {
  Checkpoint checkpoint = Checkpoint::open(kGolden / "sharded", heard_.warning());
  EXPECT_THAT(heard_.sentences, IsEmpty());
  EXPECT_EQ(checkpoint.files().size(), 3u);
  ASSERT_EQ(checkpoint.tensors().size(), 5u);
  checkpoint.canonicalize("bert");
  for (int i = 0; i < 5; ++i) {
    const CheckpointTensor* tensor =
        checkpoint.find("encoder.layer." + std::to_string(i) + ".output.dense.weight");
    ASSERT_NE(tensor, nullptr);
    EXPECT_EQ(to_floats(tensor->view), std::vector<float>(32, static_cast<float>(i)));
  }
}

TEST_F(CheckpointTest, AMissingShardIsNamed) {
  config("{}");
  tensors({{"a", Dtype::i8, {1}}}, "model-00001-of-00002.safetensors");
  index(
      R"({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}})");
  EXPECT_THAT(open_error(ErrorCode::not_found), HasSubstr("\"model-00002-of-00002.safetensors\" named by"));
}

// The system refuses a name of this length.
TEST_F(CheckpointTest, AFileNameNoSystemTakesIsAnIoError) {
  config("{}");
  index(R"({"weight_map": {"a": ")" + std::string(400, 'x') + R"(.safetensors"}})");
  EXPECT_THAT(open_error(ErrorCode::io), HasSubstr("too long"));
  index(R"({"weight_map": {"a": ")" + std::string(9000, 'x') + R"(.safetensors"}})");
  EXPECT_THAT(open_error(ErrorCode::io), AllOf(HasSubstr("too long"), testing::SizeIs(testing::Lt(2000u))));
}

TEST_F(CheckpointTest, ATensorOfTheIndexThatNoShardHoldsIsNamed) {
  config("{}");
  tensors({{"a", Dtype::i8, {1}}}, "model-00001-of-00002.safetensors");
  tensors({{"b", Dtype::i8, {1}}}, "model-00002-of-00002.safetensors");
  index(R"({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors",
                           "c": "model-00002-of-00002.safetensors"}})");
  EXPECT_THAT(open_error(ErrorCode::format), HasSubstr("names tensors that no shard holds: \"c\""));
}

TEST_F(CheckpointTest, AnIndexThatIsInexactIsSaid) {
  config("{}");
  tensors({{"a", Dtype::i8, {1}}, {"extra", Dtype::i8, {1}}}, "model-00001-of-00002.safetensors");
  tensors({{"b", Dtype::i8, {1}}}, "model-00002-of-00002.safetensors");
  index(
      R"({"weight_map": {"a": "model-00002-of-00002.safetensors", "b": "model-00001-of-00002.safetensors"}})");
  EXPECT_EQ(open().tensors().size(), 3u);
  EXPECT_THAT(heard_.sentences, ElementsAre(HasSubstr("places \"a\", \"b\" in the wrong shard"),
                                            HasSubstr("does not list \"extra\"")));
}

TEST_F(CheckpointTest, AStaleIndexIsSaidAndTheFileUsed) {
  config("{}");
  tensors({{"a", Dtype::i8, {1}}});
  index(
      R"({"weight_map": {"x": "model-00001-of-00002.safetensors", "y": "model-00002-of-00002.safetensors"}})");
  EXPECT_THAT(open().weight_names(), ElementsAre("a"));
  EXPECT_THAT(heard_.sentences,
              ElementsAre(AllOf(HasSubstr("index"), HasSubstr("model.safetensors is there"))));
}

// mlx-embeddings copies the float model's index over its own.
TEST_F(CheckpointTest, AnIndexOfOtherTensorsForTheOnlyFileIsSaid) {
  config("{}");
  tensors({{"a", Dtype::i8, {1}}});
  index(R"({"weight_map": {"x": "model.safetensors"}})");
  EXPECT_THAT(open().weight_names(), ElementsAre("a"));
  EXPECT_THAT(heard_.sentences, ElementsAre(HasSubstr("the index was ignored")));
}

TEST_F(CheckpointTest, WhatIsPassedOverIsSaid) {
  config("{}");
  tensors({{"a", Dtype::i8, {1}}});
  tensors({{"b", Dtype::i8, {1}}}, "model-00001-of-00001.safetensors");
  EXPECT_THAT(open().weight_names(), ElementsAre("a"));
  EXPECT_THAT(heard_.sentences, ElementsAre(HasSubstr("\"model-00001-of-00001.safetensors\" not used")));
}

TEST_F(CheckpointTest, ShardsWithoutAnIndexAreUsedIfComplete) {
  config("{}");
  tensors({{"b", Dtype::i8, {1}}}, "model-00002-of-00002.safetensors");
  EXPECT_THAT(open_error(ErrorCode::not_found), HasSubstr("shard 1 of 2 is missing"));
  tensors({{"a", Dtype::i8, {1}}}, "model-00001-of-00002.safetensors");
  EXPECT_THAT(open().weight_names(), ElementsAre("a", "b"));
  EXPECT_THAT(heard_.sentences, ElementsAre(HasSubstr("no model.safetensors.index.json; used")));
}

TEST_F(CheckpointTest, ATensorInTwoShardsIsAnError) {
  config("{}");
  tensors({{"a", Dtype::i8, {1}}}, "model-00001-of-00002.safetensors");
  tensors({{"a", Dtype::i8, {1}}}, "model-00002-of-00002.safetensors");
  EXPECT_THAT(open_error(ErrorCode::format),
              HasSubstr("\"a\" is in both model-00001-of-00002.safetensors and"));
}

TEST_F(CheckpointTest, BadIndexesAreRefused) {
  config("{}");
  for (const auto& [text, message] : std::vector<std::pair<std::string, std::string>>{
           {"[]", "no \"weight_map\""},
           {"{}", "no \"weight_map\""},
           {R"({"weight_map": []})", "no \"weight_map\""},
           {R"({"weight_map": {}})", "is empty"},
           {R"({"weight_map": {"a": 1}})", "\"a\" is in 1, expected a file name"},
           {R"({"weight_map": {"a": "../secret.safetensors"}})", "expected the name of a .safetensors file"},
           {R"({"weight_map": {"a": "/etc/x.safetensors"}})", "expected the name of a .safetensors file"},
           {R"({"weight_map": {"a": "model.bin"}})", "expected the name of a .safetensors file"},
           {R"({"weight_map": {"a": ".safetensors"}})", "expected the name of a .safetensors file"},
           {R"({"weight_map": {"a": ""}})", "expected the name of a .safetensors file"},
           {"{\"weight_map\": {\"a\": \"x\\u0000y.safetensors\"}}",
            "expected the name of a .safetensors file"},
           {R"({"weight_map": {"a": "m.safetensors")", "not valid JSON"},
       }) {
    index(text);
    EXPECT_THAT(open_error(ErrorCode::format), HasSubstr(message)) << text;
  }
}

// ---- names

TEST_F(CheckpointTest, NamesAreCanonical) {
  config("{}");
  tensors({{"bert.embeddings.LayerNorm.gamma", Dtype::f32, {2}},
           {"bert.embeddings.LayerNorm.beta", Dtype::f32, {2}},
           {"bert.embeddings.position_ids", Dtype::i64, {1, 4}},
           {"bert.bert.odd", Dtype::f32, {1}},
           {"bert", Dtype::f32, {1}},
           {"bertine.weight", Dtype::f32, {1}},
           {"classifier.weight", Dtype::f32, {2, 2}}});
  Checkpoint checkpoint = open();
  EXPECT_TRUE(checkpoint.has("bert.embeddings.LayerNorm.weight"));
  checkpoint.canonicalize("bert");
  EXPECT_THAT(checkpoint.weight_names(),
              ElementsAre("embeddings.LayerNorm.weight", "embeddings.LayerNorm.bias", "bert.odd", "bert",
                          "bertine.weight", "classifier.weight"));
  EXPECT_EQ(checkpoint.find("embeddings.LayerNorm.weight")->original, "bert.embeddings.LayerNorm.gamma");
  EXPECT_EQ(checkpoint.find("embeddings.position_ids")->role, TensorRole::buffer);
  checkpoint.canonicalize("");
  EXPECT_TRUE(checkpoint.has("bert.bert.odd"));
}

TEST_F(CheckpointTest, TwoNamesForOneWeightAreAnError) {
  config("{}");
  tensors({{"bert.pooler.dense.weight", Dtype::f32, {1}}, {"pooler.dense.weight", Dtype::f32, {1}}});
  Checkpoint checkpoint = open();
  EXPECT_THAT(test::error_text([&] { checkpoint.canonicalize("bert"); }, ErrorCode::format),
              HasSubstr("\"bert.pooler.dense.weight\" and \"pooler.dense.weight\" are the same weight"));
}

TEST_F(CheckpointTest, GammaBesideWeightIsAnError) {
  config("{}");
  tensors({{"LayerNorm.gamma", Dtype::f32, {1}}, {"LayerNorm.weight", Dtype::f32, {1}}});
  EXPECT_THAT(open_error(ErrorCode::format), HasSubstr("are the same weight"));
}

// ---- MLX quantization

TEST_F(CheckpointTest, ReadsWhatMlxWrote) {
  const Checkpoint checkpoint = Checkpoint::open(kGolden / "mlx_mixed", heard_.warning());
  EXPECT_THAT(heard_.sentences, IsEmpty());
  const StoredWeight query = checkpoint.stored("query.weight");
  EXPECT_EQ(query.scheme, (Scheme{.mode = Mode::affine, .bits = 4, .group_size = 64, .dtype = Dtype::f16}));
  EXPECT_EQ(query.shape, (Shape{8, 64}));
  EXPECT_EQ(query.codes.size(), 8u * 64 / 2);
  EXPECT_EQ(query.scales.size(), 8u * 2);
  EXPECT_EQ(query.biases.size(), 8u * 2);
  const StoredWeight embeddings = checkpoint.stored("embeddings.weight");
  EXPECT_EQ(embeddings.scheme,
            (Scheme{.mode = Mode::affine, .bits = 6, .group_size = 32, .dtype = Dtype::f16}));
  EXPECT_EQ(embeddings.shape, (Shape{6, 64}));
  const StoredWeight output = checkpoint.stored("output.weight");
  EXPECT_EQ(output.scheme, (Scheme{.mode = Mode::mxfp4, .bits = 4, .group_size = 32}));
  EXPECT_EQ(output.shape, (Shape{4, 128}));
  EXPECT_EQ(output.scales.size(), 4u * 4);
  EXPECT_TRUE(output.biases.empty());
  const StoredWeight classifier = checkpoint.stored("classifier.weight");
  EXPECT_EQ(classifier.scheme.mode, Mode::none);
  EXPECT_EQ(classifier.dtype, Dtype::f16);
  EXPECT_EQ(checkpoint.stored("query.bias").shape, Shape{8});
  EXPECT_EQ(checkpoint.find("query.scales")->role, TensorRole::component);
  EXPECT_EQ(checkpoint.find("query.biases")->owner, "query.weight");
  EXPECT_EQ(checkpoint.weight_names().size(), 7u);
}

// affine 8 bits, group 64 of a [4, 128] matrix
const std::vector<TensorSpec> kQuantized{{"bert.q.weight", Dtype::u32, {4, 32}},
                                         {"bert.q.scales", Dtype::f16, {4, 2}},
                                         {"bert.q.biases", Dtype::f16, {4, 2}}};

TEST_F(CheckpointTest, OverridesMatchUnderEveryNameALoaderUses) {
  tensors(kQuantized);
  for (const char* key : {"q", "bert.q", "model.q", "model.bert.q"}) {
    config(std::string(R"({"quantization": {"group_size": 32, "bits": 4, ")") + key +
           R"(": {"group_size": 64, "bits": 8}}})");
    Checkpoint checkpoint = open();
    checkpoint.canonicalize("bert");
    EXPECT_EQ(checkpoint.stored("q.weight").shape, (Shape{4, 128})) << key;
  }
}

// As written by a converter that removed the prefix from the tensors but not from the dictionary.
TEST_F(CheckpointTest, OverridesMatchWithAPrefixTheFileLacks) {
  tensors({{"q.weight", Dtype::u32, {4, 32}},
           {"q.scales", Dtype::f16, {4, 2}},
           {"q.biases", Dtype::f16, {4, 2}}});
  config(R"({"quantization": {"group_size": 32, "bits": 4, "bert.q": {"group_size": 64, "bits": 8}}})");
  Checkpoint checkpoint = open();
  checkpoint.canonicalize("bert");
  EXPECT_EQ(checkpoint.stored("q.weight").scheme.bits, 8);
}

TEST_F(CheckpointTest, ConflictingOverridesAreAnError) {
  tensors(kQuantized);
  config(R"({"quantization": {"group_size": 64, "bits": 8, "q": {"bits": 8}, "bert.q": {"bits": 4}}})");
  Checkpoint checkpoint = open();
  checkpoint.canonicalize("bert");
  EXPECT_THAT(test::error_text([&] { checkpoint.stored("q.weight"); }, ErrorCode::format),
              HasSubstr("\"q\" and \"bert.q\" name the same module and differ"));
  config(R"({"quantization": {"group_size": 64, "bits": 8, "q": {"bits": 8}, "bert.q": {"bits": 8}}})");
  checkpoint = open();
  checkpoint.canonicalize("bert");
  EXPECT_EQ(checkpoint.stored("q.weight").scheme.bits, 8);
}

TEST_F(CheckpointTest, ShapesAgainstConfigNameBoth) {
  tensors(kQuantized);
  config(R"({"quantization": {"group_size": 64, "bits": 4}})");
  EXPECT_THAT(
      stored_error("bert.q.weight"),
      AllOf(HasSubstr("\"bert.q.weight\" is U32 [4, 32]"), HasSubstr("\"bert.q.scales\" is F16 [4, 2]"),
            HasSubstr("4 bits with group size 128 or 8 bits with group size 64"),
            HasSubstr("\"quantization\" says 4 bits with group size 64")));
  config(R"({"quantization": {"group_size": 64, "bits": 4, "bert.q": {"bits": 3}}})");
  EXPECT_THAT(stored_error("bert.q.weight"), HasSubstr("for \"bert.q\" says 3 bits"));
  config(R"({"quantization": {"group_size": 64, "bits": 8, "bert.q": false}})");
  EXPECT_THAT(stored_error("bert.q.weight"), HasSubstr("is stored quantized, but"));
  config("{}");
  EXPECT_THAT(stored_error("bert.q.weight"), HasSubstr("config.json has no \"quantization\""));
}

TEST_F(CheckpointTest, TriplesThatDoNotFitAreErrors) {
  config(
      R"({"quantization": {"group_size": 64, "bits": 8, "fp": {"mode": "mxfp8", "bits": 8, "group_size": 32}}})");
  struct Case {
    std::vector<TensorSpec> specs;
    const char* message;
  };
  for (const Case& c : std::vector<Case>{
           {{{"q.weight", Dtype::u32, {4, 32}}}, "\"q.scales\" is missing"},
           {{{"q.weight", Dtype::f32, {4, 32}}, {"q.biases", Dtype::f32, {4, 2}}}, "\"q.scales\" is missing"},
           {{{"q.weight", Dtype::u32, {4, 32}}, {"q.scales", Dtype::f16, {4, 2}}}, "\"q.biases\" is missing"},
           {{{"q.weight", Dtype::u32, {4, 32}},
             {"q.scales", Dtype::f16, {3, 2}},
             {"q.biases", Dtype::f16, {3, 2}}},
            "expected U32 [rows, words] and [rows, groups]"},
           {{{"q.weight", Dtype::f32, {4, 32}},
             {"q.scales", Dtype::f16, {4, 2}},
             {"q.biases", Dtype::f16, {4, 2}}},
            "expected U32"},
           {{{"q.weight", Dtype::u32, {4, 32, 1}},
             {"q.scales", Dtype::f16, {4, 2, 1}},
             {"q.biases", Dtype::f16, {4, 2, 1}}},
            "expected U32"},
           {{{"q.weight", Dtype::u32, {0, 32}},
             {"q.scales", Dtype::f16, {0, 2}},
             {"q.biases", Dtype::f16, {0, 2}}},
            "expected U32"},
           {{{"q.weight", Dtype::u32, {4, 32}},
             {"q.scales", Dtype::f16, {4, 2}},
             {"q.biases", Dtype::f32, {4, 2}}},
            "expected the same as \"q.scales\""},
           {{{"q.weight", Dtype::u32, {4, 32}},
             {"q.scales", Dtype::u8, {4, 2}},
             {"q.biases", Dtype::u8, {4, 2}}},
            "expected F32, F16 or BF16"},
           {{{"fp.weight", Dtype::u32, {4, 32}}, {"fp.scales", Dtype::f16, {4, 4}}}, "expected U8"},
           {{{"fp.weight", Dtype::u32, {4, 32}},
             {"fp.scales", Dtype::u8, {4, 4}},
             {"fp.biases", Dtype::u8, {4, 4}}},
            "a mode without biases"},
       }) {
    tensors(c.specs);
    EXPECT_THAT(stored_error(c.specs[0].name), HasSubstr(c.message));
  }
}

// ---- our int8 and the fake baseline

TEST_F(CheckpointTest, ReadsInt8) {
  config(R"({"mlx_encoder": {"scheme": "int8", "version": 1}})");
  tensors({{"q.weight", Dtype::i8, {4, 6}},
           {"q.weight.scale", Dtype::f32, {4}},
           {"q.weight.zero_point", Dtype::i8, {4}}});
  const Checkpoint checkpoint = open();
  EXPECT_EQ(checkpoint.declared_mode(), Mode::int8);
  EXPECT_THAT(checkpoint.weight_names(), ElementsAre("q.weight"));
  const StoredWeight weight = checkpoint.stored("q.weight");
  EXPECT_EQ(weight.scheme.mode, Mode::int8);
  EXPECT_EQ(weight.shape, (Shape{4, 6}));
  EXPECT_EQ(weight.codes.size(), 24u);
  EXPECT_EQ(weight.scales.size(), 16u);
  EXPECT_EQ(weight.biases.size(), 4u);
}

TEST_F(CheckpointTest, Int8PartsThatDoNotFitAreErrors) {
  config("{}");
  const TensorSpec codes{"q.weight", Dtype::i8, {4, 6}}, scale{"q.weight.scale", Dtype::f32, {4}},
      zero{"q.weight.zero_point", Dtype::i8, {4}};
  tensors({codes});
  EXPECT_THAT(stored_error("q.weight"), HasSubstr("\"q.weight.scale\" is missing"));
  tensors({codes, scale});
  EXPECT_THAT(stored_error("q.weight"), HasSubstr("\"q.weight.zero_point\" is missing"));
  tensors({codes, {"q.weight.scale", Dtype::f32, {1}}, zero});
  EXPECT_THAT(stored_error("q.weight"), HasSubstr("expected I8 [rows, columns] and F32 [rows]"));
  tensors({codes, scale, {"q.weight.zero_point", Dtype::f32, {4}}});
  EXPECT_THAT(stored_error("q.weight"), HasSubstr("expected I8 [4]"));
}

TEST_F(CheckpointTest, FakeQuantizedWeightsArePlainAndTheirStraysKnown) {
  config(R"({"mlx_encoder": {"scheme": "fake", "version": 1}})");
  tensors({{"q.weight", Dtype::f32, {4, 6}},
           {"q.weight.scale", Dtype::f32, {1}},
           {"q.weight.zero_point", Dtype::f32, {1}}});
  const Checkpoint checkpoint = open();
  EXPECT_EQ(checkpoint.declared_mode(), Mode::fake);
  EXPECT_EQ(checkpoint.stored("q.weight").scheme, (Scheme{.mode = Mode::none, .dtype = Dtype::f32}));
  EXPECT_THAT(checkpoint.weight_names(), ElementsAre("q.weight"));
  EXPECT_EQ(checkpoint.find("q.weight.scale")->role, TensorRole::stray_component);
  EXPECT_EQ(checkpoint.find("q.weight.zero_point")->owner, "q.weight");
}

TEST_F(CheckpointTest, ANoteOfANewerVersionIsRefused) {
  tensors({});
  config(R"({"mlx_encoder": {"scheme": "int8", "version": 2}})");
  EXPECT_THAT(open_error(ErrorCode::unsupported), HasSubstr("\"version\" is 2"));
  config(R"({"mlx_encoder": {"scheme": "int5", "version": 1}})");
  EXPECT_THAT(open_error(ErrorCode::unsupported), HasSubstr("\"scheme\" is \"int5\""));
}

// ---- a real model, where it is at hand

TEST_F(CheckpointTest, ReadsTheSharedDistilbert) {
  const fs::path folder = fs::path(MLXE_SHARED_DIR) / "models" / "distilbert-nli";
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is not here";
  Checkpoint checkpoint = Checkpoint::open(folder, heard_.warning());
  EXPECT_THAT(heard_.sentences, IsEmpty());
  checkpoint.canonicalize("distilbert");
  EXPECT_EQ(checkpoint.stored("transformer.layer.5.ffn.lin2.weight").shape, (Shape{768, 3072}));
  EXPECT_EQ(checkpoint.stored("classifier.weight").dtype, Dtype::f16);
  checkpoint.config().reject_unsupported();
  for (const char* key : {"activation", "dim", "hidden_dim", "max_position_embeddings", "n_heads", "n_layers",
                          "sinusoidal_pos_embds", "vocab_size"})
    checkpoint.config().harmless({key});
  EXPECT_THAT(checkpoint.config().unknown_keys(), IsEmpty());
}

}  // namespace
}  // namespace mlxe::checkpoint_test
