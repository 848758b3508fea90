// Files that a conversion copies must load with the code that runs them. Promises about readers must hold.
#include <gmock/gmock.h>

#include <limits>

#include "convert/loader_compatibility.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/encoder.h"
#include "mlx_encoder/inspect.h"
#include "model_folders.h"

namespace mlxe {
namespace {

namespace fs = std::filesystem;
using test::error_text;
using test::names_in;
using test::TemporaryFolder;
using test::tiny;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr Scheme kScheme{.mode = Mode::affine, .bits = 8, .group_size = 32, .dtype = Dtype::f16};

ReaderVerdict verdict(const fs::path& folder, const char* reader) {
  const Inspection in = inspect_model(folder);
  return *std::ranges::find(in.readers, reader, &ReaderVerdict::reader);
}

// Expects that converting `model` fails with `code` and leaves nothing, that planning fails, too, and that
// inspect says that this program does not load it. Returns the message.
std::string refused(const fs::path& model, ErrorCode code) {
  const TemporaryFolder folder;
  const std::string said =
      error_text([&] { convert({.model = model, .output = folder / "out", .scheme = kScheme}); }, code);
  EXPECT_THAT(names_in(folder.path()), IsEmpty());
  error_text([&] { plan_conversion({.model = model, .scheme = kScheme}); }, code);
  const ReaderVerdict own = verdict(model, "mlx-encoder");
  EXPECT_FALSE(own.loads);
  EXPECT_THAT(own.why, ElementsAre(said));
  return said;
}

struct Damage {
  const char* file;
  const char* content;  // nullptr: the first half of what is there
  ErrorCode code;
};

class CarriedTokenizerFile : public ::testing::TestWithParam<Damage> {};

TEST_P(CarriedTokenizerFile, ThatDoesNotLoadEndsTheConversion) {
  const auto& [file, content, code] = GetParam();
  const TemporaryFolder folder;
  const fs::path model = folder / "model";
  fs::copy(tiny("bert"), model, fs::copy_options::recursive);
  EXPECT_TRUE(verdict(model, "mlx-encoder").loads);
  const std::string whole = test::read_file(model / file);
  test::write_file(model / file, content ? content : whole.substr(0, whole.size() / 2));
  EXPECT_THAT(refused(model, code), HasSubstr(file));
  EXPECT_FALSE(verdict(model, "mlx-embeddings").loads);
}

INSTANTIATE_TEST_SUITE_P(
    , CarriedTokenizerFile,
    ::testing::Values(Damage{"tokenizer.json", "", ErrorCode::format},
                      Damage{"tokenizer.json", "hello", ErrorCode::format},
                      Damage{"tokenizer.json", nullptr, ErrorCode::format},
                      Damage{"tokenizer.json", "[]", ErrorCode::format},
                      Damage{"tokenizer.json", "{}", ErrorCode::format},
                      Damage{"tokenizer.json", R"({"version":"1.0","model":{"type":"Telepathy","vocab":{}}})",
                             ErrorCode::unsupported},
                      Damage{"tokenizer_config.json", "", ErrorCode::format},
                      Damage{"tokenizer_config.json", "hello", ErrorCode::format},
                      Damage{"tokenizer_config.json", nullptr, ErrorCode::format},
                      Damage{"tokenizer_config.json", "[]", ErrorCode::format},
                      Damage{"tokenizer_config.json", R"({"do_lower_case": "perhaps"})", ErrorCode::format},
                      Damage{"special_tokens_map.json", "", ErrorCode::format},
                      Damage{"special_tokens_map.json", "hello", ErrorCode::format},
                      Damage{"special_tokens_map.json", nullptr, ErrorCode::format},
                      Damage{"special_tokens_map.json", "3", ErrorCode::format}));

TEST(CarriedFiles, ADenseModuleWithNaNEndsTheConversion) {
  for (const auto& [tensor, at, where] :
       {std::tuple("linear.weight", size_t{33}, "2_Dense/linear.weight, row 1, column 1 is nan"),
        std::tuple("linear.bias", size_t{2}, "2_Dense/linear.bias, row 2, column 0 is nan"),
        std::tuple("residual.weight", size_t{34}, "2_Dense/residual.weight, row 1, column 2 is nan")}) {
    const TemporaryFolder folder;
    const fs::path model = folder / "model";
    fs::copy(tiny("st_dense"), model, fs::copy_options::recursive);
    nlohmann::json config = read_json(model / "2_Dense/config.json");
    config["use_residual"] = true;
    test::write_file(model / "2_Dense/config.json", config.dump());
    test::RawTensors tensors = test::read_tensors(model / "2_Dense/model.safetensors");
    tensors["residual.weight"] = tensors.at("linear.weight");
    ASSERT_EQ(tensors.at("linear.weight").shape.back(), 32);
    std::vector<float> values = test::floats(tensors.at(tensor));
    values[at] = std::numeric_limits<float>::quiet_NaN();
    tensors[tensor] = test::float_tensor(tensors.at(tensor).shape, values);
    test::write_tensors(model / "2_Dense/model.safetensors", tensors);
    EXPECT_THAT(refused(model, ErrorCode::numeric), HasSubstr(where));
    error_text([&] { Encoder::load(model, {.engine = EngineKind::cpu, .threads = 1}); }, ErrorCode::numeric);
  }
}

TEST(CarriedFiles, ATokenizerOfAnotherProgramIsCarriedOverWithAWarning) {
  const TemporaryFolder folder;
  const fs::path model = folder / "model";
  fs::copy(tiny("bert"), model, fs::copy_options::recursive);
  fs::remove(model / "tokenizer.json");
  test::write_file(model / "tokenizer_config.json", R"({"tokenizer_class": "PreTrainedTokenizerFast"})");
  const Conversion done = convert({.model = model, .output = folder / "out", .scheme = kScheme});
  EXPECT_THAT(done.plan.warnings, Contains(HasSubstr("carried over unread")));
  EXPECT_THAT(names_in(done.folder), Contains("vocab.txt"));
  EXPECT_FALSE(verdict(done.folder, "mlx-encoder").loads);

  for (const char* name : {"vocab.txt", "tokenizer_config.json", "special_tokens_map.json"})
    fs::remove(model / name);
  const ConversionPlan none = plan_conversion({.model = model, .scheme = kScheme});
  EXPECT_THAT(none.notes, Contains(HasSubstr("has no tokenizer")));
}

TEST(MlxEmbeddingsPromise, IsHeldOrRefusedBeforeTheWork) {
  const TemporaryFolder folder;
  const auto refuse = [&](const char* model, const Scheme& scheme, ErrorCode code) {
    const std::string said = error_text(
        [&] {
          convert({.model = tiny(model),
                   .output = folder / "out",
                   .scheme = scheme,
                   .layout = Layout::mlx_embeddings});
        },
        code);
    EXPECT_THAT(names_in(folder.path()), IsEmpty());
    EXPECT_THAT(said, HasSubstr("--layout hf"));
    return said;
  };
  EXPECT_THAT(refuse("bert", {Mode::int8, 8, 0, Dtype::f16}, ErrorCode::usage), HasSubstr("int8"));
  EXPECT_THAT(refuse("bert", {Mode::fake, 8, 0, Dtype::f16}, ErrorCode::usage), HasSubstr("fake"));
  EXPECT_THAT(refuse("st_dense", kScheme, ErrorCode::unsupported), HasSubstr("2_Dense"));
}

// The check before the new folder gets its name, on folders that break the promise.
TEST(MlxEmbeddingsPromise, IsCheckedByTheVerdictOfInspect) {
  const TemporaryFolder folder;
  for (const Scheme& scheme :
       {kScheme, Scheme{Mode::mxfp4, 4, 32, Dtype::f16}, Scheme{Mode::none, 0, 0, Dtype::f32}}) {
    const fs::path theirs = folder / std::string(name(scheme.mode));
    convert(
        {.model = tiny("distilbert"), .output = theirs, .scheme = scheme, .layout = Layout::mlx_embeddings});
    EXPECT_NO_THROW(require_mlx_embeddings_loads(theirs, load_folder_tokenizer(theirs), "out"));
    EXPECT_TRUE(verdict(theirs, "mlx-embeddings").loads);
  }
  for (const Scheme& scheme : {kScheme, Scheme{Mode::int8, 8, 0, Dtype::f16}}) {
    const fs::path ours = folder / ("hf-" + std::string(name(scheme.mode)));
    convert({.model = tiny("bert_prefix"), .output = ours, .scheme = scheme});
    const std::string said =
        error_text([&] { require_mlx_embeddings_loads(ours, load_folder_tokenizer(ours), "out"); },
                   ErrorCode::unsupported);
    EXPECT_THAT(said, HasSubstr("out: mlx-embeddings would not load it: "));
    EXPECT_THAT(said, HasSubstr("tensors it has no place for"));
  }
}

}  // namespace
}  // namespace mlxe
