// sentence-transformers' modules and settings: their results, and the limit of a text's length.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "golden.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/encoder.h"
#include "mlx_encoder/inspect.h"
#include "model_folders.h"

namespace mlxe::sentence_pipeline_test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const fs::path kCases = fs::path(MLXE_SHARED_DIR) / "cases";

std::string modules(const std::vector<std::string>& kinds) {
  nlohmann::json list = nlohmann::json::array();
  for (size_t i = 0; i < kinds.size(); ++i)
    list.push_back({{"idx", i},
                    {"name", std::to_string(i)},
                    {"path", kinds[i] == "Transformer" ? "" : std::to_string(i) + "_" + kinds[i]},
                    {"type", "sentence_transformers.models." + kinds[i]}});
  return list.dump();
}

// The tiny encoder with mean pooling and these modules, in order; their configs are written by the test.
class Pipeline : public ::testing::Test {
 protected:
  test::TemporaryFolder parent_;
  fs::path folder_ = parent_ / "model";

  void SetUp() override { fs::copy(test::tiny("st_mean_norm"), folder_, fs::copy_options::recursive); }
  void make(const std::vector<std::string>& kinds) {
    test::write_file(folder_ / "modules.json", modules(kinds));
    for (size_t i = 0; i < kinds.size(); ++i)
      if (kinds[i] == "Pooling")
        test::write_file(folder_ / (std::to_string(i) + "_Pooling/config.json"),
                         R"({"word_embedding_dimension": 32, "pooling_mode": "mean"})");
  }
  void dense(const std::string& path, const std::string& config, const test::RawTensors& tensors) {
    test::write_file(folder_ / path / "config.json", config);
    test::write_tensors(folder_ / path / "model.safetensors", tensors);
  }
  std::vector<float> vector(EngineKind engine = EngineKind::cpu) {
    return Encoder::load(folder_, {.engine = engine}).embed({"the cat was home"}).values;
  }
};

// Row-major [out, in] times x.
std::vector<float> product(const std::vector<float>& w, const std::vector<float>& x) {
  std::vector<float> y(w.size() / x.size());
  for (size_t i = 0; i < y.size(); ++i)
    for (size_t j = 0; j < x.size(); ++j) y[i] += w[i * x.size() + j] * x[j];
  return y;
}

// Sums of 32 products of values up to 1, each rounded to 6e-8, have errors far below 1e-5. Omitting a
// residual changes values by about 1.
void expect_equal(const std::vector<float>& a, const std::vector<float>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5) << i;
}

TEST_F(Pipeline, DenseWithAResidual) {
  make({"Transformer", "Pooling"});
  const std::vector<float> pooled = vector();
  const std::vector<float> w = test::random_weights(32 * 32, 1), half = test::random_weights(16 * 32, 2),
                           residual = test::random_weights(16 * 32, 3);
  make({"Transformer", "Pooling", "Dense"});
  const std::string settings =
      R"("bias": false, "use_residual": true, "activation_function": "torch.nn.modules.activation.Tanh"})";
  dense("2_Dense", R"({"in_features": 32, "out_features": 32, )" + settings,
        {{"linear.weight", test::float_tensor({32, 32}, w)}});
  std::vector<float> expected = product(w, pooled);
  for (size_t i = 0; i < 32; ++i) expected[i] = std::tanh(expected[i]) + pooled[i];
  expect_equal(vector(), expected);

  dense("2_Dense", R"({"in_features": 32, "out_features": 16, )" + settings,
        {{"linear.weight", test::float_tensor({16, 32}, half)},
         {"residual.weight", test::float_tensor({16, 32}, residual)}});
  expected = product(half, pooled);
  const std::vector<float> added = product(residual, pooled);
  for (size_t i = 0; i < 16; ++i) expected[i] = std::tanh(expected[i]) + added[i];
  expect_equal(vector(), expected);
  EXPECT_EQ(Encoder::load(folder_, {.engine = EngineKind::cpu}).info().dimension, 16);
}

// For a linear Dense, the mean of the tokens' outputs equals the output of the mean.
TEST_F(Pipeline, ADenseOfTokenVectorsThatIsLinearCommutesWithTheMean) {
  const std::vector<float> w = test::random_weights(32 * 32, 4);
  const test::RawTensors tensors{{"linear.weight", test::float_tensor({32, 32}, w)}};
  const std::string settings =
      R"({"in_features": 32, "out_features": 32, "bias": false, "activation_function": "torch.nn.modules.)";
  make({"Transformer", "Pooling", "Dense"});
  dense("2_Dense", settings + R"(linear.Identity"})", tensors);
  const std::vector<float> after = vector();
  make({"Transformer", "Dense", "Pooling"});
  dense("1_Dense", settings + R"(linear.Identity", "module_input_name": "token_embeddings"})", tensors);
  expect_equal(vector(), after);
  dense("1_Dense", settings + R"(activation.ReLU", "module_input_name": "token_embeddings"})", tensors);
  const std::vector<float> bent = vector();
  double difference = 0;
  for (size_t i = 0; i < bent.size(); ++i)
    difference = std::max<double>(difference, std::abs(bent[i] - after[i]));
  EXPECT_GT(difference, 1e-2) << "a ReLU of each token does not";
}

TEST_F(Pipeline, ANormalizeOfTokenVectorsWorksOnEachToken) {
  make({"Transformer", "Normalize", "Pooling"});
  test::write_file(folder_ / "1_Normalize/config.json", R"({"module_input_name": "token_embeddings"})");
  const auto length = [](const std::vector<float>& v) {
    double sum = 0;
    for (float x : v) sum += static_cast<double>(x) * x;
    return std::sqrt(sum);
  };
  EXPECT_LT(length(vector()), 1.0) << "the mean of unit vectors that differ";
  make({"Transformer", "Pooling", "Normalize"});
  test::write_file(folder_ / "2_Normalize/config.json", R"({"module_input_name": "token_embeddings"})");
  EXPECT_GT(length(vector()), 2.0) << "the vector of the text is made before";
  test::write_file(folder_ / "2_Normalize/config.json", R"({"module_input_name": "sentence_embedding"})");
  EXPECT_NEAR(length(vector()), 1.0, 1e-6);
}

TEST_F(Pipeline, TheMlxEngineComputesTheSame) {
  make({"Transformer", "Normalize", "Pooling", "Dense"});
  test::write_file(folder_ / "1_Normalize/config.json", R"({"module_input_name": "token_embeddings"})");
  dense("3_Dense", R"({"in_features": 32, "out_features": 16, "bias": false, "use_residual": true})",
        {{"linear.weight", test::float_tensor({16, 32}, test::random_weights(16 * 32, 5))},
         {"residual.weight", test::float_tensor({16, 32}, test::random_weights(16 * 32, 6, 1))}});
  std::vector<float> mlx;
  try {
    mlx = vector(EngineKind::mlx);
  } catch (const Error& e) {
    GTEST_SKIP() << e.what();
  }
  expect_equal(mlx, vector());
}

// ---- the length of a text

double cosine_of(const std::vector<float>& a, const std::vector<float>& b) {
  return cosine(std::span(a), std::span(b));
}

// A conversion carries every module over as it is, and quantizes the encoder alone.
TEST_F(Pipeline, OfAConvertedFolderIsThatOfItsSource) {
  const std::string no_bias =
      R"({"in_features": 32, "bias": false, "activation_function": "torch.nn.modules.)";
  const test::RawTensors square{
      {"linear.weight", test::float_tensor({32, 32}, test::random_weights(32 * 32, 1, 0.3))}};
  const test::RawTensors narrow{
      {"linear.weight", test::float_tensor({16, 32}, test::random_weights(16 * 32, 2, 0.3))},
      {"residual.weight", test::float_tensor({16, 32}, test::random_weights(16 * 32, 3, 0.3))}};
  struct Case {
    std::vector<std::string> kinds;
    std::string path, config;
    test::RawTensors tensors;
  };
  for (const Case& c : {
           Case{{"Transformer", "Pooling", "Dense"},
                "2_Dense",
                no_bias + R"(activation.Tanh", "out_features": 32, "use_residual": true})",
                square},
           Case{{"Transformer", "Pooling", "Dense"},
                "2_Dense",
                no_bias + R"(activation.Tanh", "out_features": 16, "use_residual": true})",
                narrow},
           Case{{"Transformer", "Dense", "Pooling"},
                "1_Dense",
                no_bias + R"(activation.ReLU", "out_features": 32, "module_input_name": "token_embeddings"})",
                square},
           Case{{"Transformer", "Normalize", "Pooling"},
                "1_Normalize",
                R"({"module_input_name": "token_embeddings"})",
                {}},
       }) {
    SCOPED_TRACE(c.path + " " + c.config);
    fs::remove_all(folder_);
    SetUp();
    make(c.kinds);
    test::write_file(folder_ / c.path / "config.json", c.config);
    if (!c.tensors.empty()) test::write_tensors(folder_ / c.path / "model.safetensors", c.tensors);
    const std::vector<float> original = vector();
    std::vector<TextInput> texts;
    for (int i = 0; i < 200; ++i)
      texts.push_back({"the cat was home " + std::to_string(i * i), std::nullopt});
    const auto convert_to = [&](const char* name, int bits, Layout layout) {
      ConvertOptions o{.model = folder_,
                       .output = parent_ / name,
                       .scheme = {Mode::affine, bits, 32, Dtype::f16},
                       .layout = layout};
      if (bits < 8) o.calibration = Calibration{.texts = texts, .built_in = BuiltInText::left_out};
      fs::remove_all(o.output);
      return convert(o);
    };
    for (const auto& [bits, least] : {std::pair(8, 0.999), std::pair(4, 0.97)}) {
      const fs::path converted = convert_to("converted", bits, Layout::hf).folder;
      const std::string modules = test::read_file(folder_ / "modules.json");
      for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
        const fs::path file = entry.path().lexically_relative(folder_);
        const bool of_module = modules.find(file.parent_path().string()) != modules.npos;  // others are older
        if (entry.is_regular_file() && (file.has_parent_path() ? of_module : file == "modules.json")) {
          EXPECT_EQ(test::read_file(converted / file), test::read_file(entry.path())) << file;
        }
      }
      const auto found =
          Encoder::load(converted, {.engine = EngineKind::cpu}).embed({"the cat was home"}).values;
      ASSERT_EQ(found.size(), original.size());
      EXPECT_GE(cosine_of(found, original), least) << bits;
    }
    // The twin: without the module the vector is another one. The token vectors of this model are about equally long.
    make({"Transformer", "Pooling"});
    if (const std::vector<float> without = vector();
        !c.tensors.empty() && without.size() == original.size()) {
      EXPECT_LT(cosine_of(without, original), 0.999);
    }
    make(c.kinds);
    // A reader that knows fewer modules: refused, or said.
    try {
      convert_to("layout", 8, Layout::mlx_embeddings);
      const Inspection inspected = inspect_model(parent_ / "layout");
      const auto theirs = std::ranges::find(inspected.readers, "mlx-embeddings", &ReaderVerdict::reader);
      ASSERT_NE(theirs, inspected.readers.end());
      EXPECT_THAT(fmt::format("{}", fmt::join(theirs->why, "\n")), HasSubstr("modules between"));
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::unsupported);
      EXPECT_THAT(e.what(), HasSubstr("mlx-embeddings loads no folder with"));
    }
  }
}

int64_t limit(const fs::path& folder, test::Heard& heard) {
  return Encoder::load(folder, {.engine = EngineKind::cpu, .warning = heard.warning()}).info().max_tokens;
}

TEST_F(Pipeline, MaxSeqLengthIsTheLimitWhateverTheTokenizerSays) {
  struct Case {
    const char* sentence;  // sentence_bert_config.json
    nlohmann::json tokenizer;
    int64_t expected;
  };
  // The model has 40 positions.
  for (const Case& c :
       {Case{R"({"max_seq_length": 24})", 16, 24}, Case{R"({"max_seq_length": 24})", 512, 24},
        Case{R"({"max_seq_length": null})", 16, 16}, Case{R"({"max_seq_length": null})", 512, 40},
        Case{R"({"max_seq_length": null})", nullptr, 40}, Case{"{}", 1e30, 40},
        Case{R"({"max_seq_length": 24, "tokenizer_args": {"model_max_length": 12}})", 16, 12}}) {
    test::write_file(folder_ / "sentence_bert_config.json", c.sentence);
    nlohmann::json tokenizer = read_json(folder_ / "tokenizer_config.json");
    tokenizer["model_max_length"] = c.tokenizer;
    test::write_file(folder_ / "tokenizer_config.json", tokenizer.dump());
    test::Heard heard;
    EXPECT_EQ(limit(folder_, heard), c.expected) << c.sentence << " " << c.tokenizer;
    EXPECT_THAT(heard.sentences, IsEmpty());
  }
  test::write_file(folder_ / "sentence_bert_config.json", R"({"max_seq_length": 64})");
  test::Heard heard;
  EXPECT_EQ(limit(folder_, heard), 40) << "the model has no more positions";
  EXPECT_THAT(heard.sentences,
              ::testing::ElementsAre(HasSubstr("max_seq_length is 64, the model has 40 positions")));
}

TEST(MiniLmLength, IsWhatMaxSeqLengthSays) {
  const fs::path minilm = test::minilm_folder();
  if (minilm.empty()) GTEST_SKIP() << test::kNoMiniLm;
  const test::TemporaryFolder parent;
  const fs::path folder = parent / "model";
  fs::create_directory(folder);
  for (const auto& entry : fs::directory_iterator(minilm))
    if (entry.path().filename() != "tokenizer_config.json")
      fs::create_symlink(fs::absolute(entry.path()), folder / entry.path().filename());
  nlohmann::json tokenizer = read_json(minilm / "tokenizer_config.json");
  tokenizer["model_max_length"] = 128;
  test::write_file(folder / "tokenizer_config.json", tokenizer.dump());
  test::Heard heard;
  EXPECT_EQ(limit(folder, heard), 256);
  std::string text;
  for (int i = 0; i < 80; ++i) text += "the river was late ";
  const std::vector<std::string> texts{text};
  EXPECT_EQ(Encoder::load(folder, {.engine = EngineKind::cpu}).embed(texts).values,
            Encoder::load(minilm, {.engine = EngineKind::cpu}).embed(texts).values);
}

// ---- folders saved by sentence-transformers 6.2, and its vectors

std::vector<float> npy(const fs::path& file) {
  const std::string bytes = test::read_file(file);
  std::vector<float> values(32);
  std::memcpy(values.data(), bytes.data() + bytes.size() - 128, 128);
  return values;
}

TEST(PipelineShared, ResidualAndPlainDenseAreSentenceTransformers) {
  if (!fs::exists(kCases)) GTEST_SKIP() << kCases << " is not there";
  for (const char* name : {"res", "plain"}) {
    const std::vector<float> found =
        Encoder::load(kCases / "real-B05" / name,
                      {.engine = EngineKind::cpu, .activations = Activations::float32})
            .embed({"The cat sat on the warm piano."})
            .values;
    const std::vector<float> expected = npy(kCases / "real-B05" / (std::string(name) + ".npy"));
    const Matrix a{1, 32, {found.begin(), found.end()}}, b{1, 32, {expected.begin(), expected.end()}};
    const test::Difference d = test::difference(name, a, b);
    EXPECT_LE(d.relative, test::kParityTolerance) << name << ": " << d.place;
  }
}

// The folder has a Normalize of token vectors after the Pooling.
TEST(PipelineShared, ANormalizeOfTokensAfterThePoolingLeavesTheVectorAlone) {
  if (!fs::exists(kCases)) GTEST_SKIP() << kCases << " is not there";
  const auto v = Encoder::load(kCases / "real-B05/normtok", {.engine = EngineKind::cpu})
                     .embed({"The cat sat on the warm piano."})
                     .values;
  double sum = 0;
  for (float x : v) sum += static_cast<double>(x) * x;
  EXPECT_NEAR(std::sqrt(sum), 5.13, 0.005);  // sentence-transformers' norm, known to two places
}

}  // namespace
}  // namespace mlxe::sentence_pipeline_test
