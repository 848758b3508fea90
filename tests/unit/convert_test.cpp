#include "mlx_encoder/convert.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <span>
#include <utility>

#include "base/sha256.h"
#include "convert/model_card.h"
#include "model_folders.h"

namespace mlxe::convert_test {
namespace {

namespace fs = std::filesystem;
using test::error_text;
using test::names_in;
using test::RawTensors;
using test::TemporaryFolder;
using test::tiny;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

constexpr Scheme kAffine8g32{.mode = Mode::affine, .bits = 8, .group_size = 32, .dtype = Dtype::f16};

const PlannedTensor& planned(const ConversionPlan& plan, std::string_view name) {
  const auto it = std::ranges::find(plan.tensors, name, &PlannedTensor::name);
  if (it == plan.tensors.end()) throw std::runtime_error("not planned: " + std::string(name));
  return *it;
}

nlohmann::json config_of(const fs::path& folder) {
  return read_json(folder / "config.json");
}

std::string weights_hash(const fs::path& folder) {
  return sha256_hex(folder / "model.safetensors") + sha256_hex(folder / "config.json") +
         sha256_hex(folder / "model.safetensors.index.json");
}

// ---- sizes

struct Named {
  const char* name;
  Scheme scheme;
};
const Named kSchemes[] = {
    {"affine 4", {Mode::affine, 4, 64, Dtype::bf16}}, {"int8", {Mode::int8, 8, 0, Dtype::f16}},
    {"float16", {Mode::none, 0, 0, Dtype::f16}},      {"affine 2", {Mode::affine, 2, 32, Dtype::f16}},
    {"affine 3", {Mode::affine, 3, 32, Dtype::f16}},  {"affine 5", {Mode::affine, 5, 32, Dtype::f16}},
    {"affine 6", {Mode::affine, 6, 128, Dtype::f32}}, {"affine 8", {Mode::affine, 8, 64, Dtype::f16}},
    {"mxfp4", {Mode::mxfp4, 4, 32, Dtype::f16}},      {"mxfp8", {Mode::mxfp8, 8, 32, Dtype::bf16}},
    {"nvfp4", {Mode::nvfp4, 4, 16, Dtype::f16}},      {"fake", {Mode::fake, 8, 0, Dtype::f16}},
    {"bfloat16", {Mode::none, 0, 0, Dtype::bf16}},    {"float32", {Mode::none, 0, 0, Dtype::f32}},
};
constexpr size_t kSchemesOfEveryModel = 3;  // the first: one of each kind of storage
// Models with fused, tied, shared, odd and convolution weights meet all schemes.
constexpr std::string_view kModelsOfEveryScheme[] = {"bert",       "bert_odd",      "bert_f64",
                                                     "albert_mlm", "modernbert_qa", "deberta_v2_conv"};

TEST(Convert, PredictsEveryByteOfTheFolder) {
  for (const char* model : {"bert",
                            "bert_old_names",
                            "bert_mlm",
                            "bert_mlm_untied",
                            "roberta_mlm",
                            "albert_mlm",
                            "modernbert_mlm_bias",
                            "modernbert_qa",
                            "electra_choice",
                            "mobilebert_mlm",
                            "bert_sharded",
                            "bert_f64",
                            "bert_f16",
                            "bert_odd",
                            "distilbert_cls",
                            "roberta_cls",
                            "xlm_roberta",
                            "electra",
                            "albert",
                            "mobilebert",
                            "mpnet",
                            "modernbert",
                            "qwen3",
                            "qwen3_lm",
                            "qwen3_rerank",
                            "gemma3_lm",
                            "st_gemma3",
                            "t5",
                            "t5_lm",
                            "bart_cls",
                            "bart_lm",
                            "mbart_cls",
                            "st_dense",
                            "eurobert_cls",
                            "nomic_bert",
                            "new",
                            "jina_bert",
                            "jina_bert_code",
                            "jina_v3_cls",
                            "jina_reranker",
                            "deberta_v2_cls",
                            "deberta_v2_conv",
                            "deberta",
                            "splade",
                            "colbert",
                            "colbert_stanford"})
    for (const Named& scheme : std::span(kSchemes).first(
             std::ranges::count(kModelsOfEveryScheme, std::string_view(model)) > 0 ? std::size(kSchemes)
                                                                                   : kSchemesOfEveryModel)) {
      SCOPED_TRACE(std::string(model) + ", " + scheme.name);
      const TemporaryFolder folder;
      ConvertOptions options{
          .model = tiny(model), .output = folder / "out", .scheme = scheme.scheme, .threads = 1};
      // Rows of 24 and 48 columns, and of 40 and 56.
      const std::string_view name = model;
      if ((name == "bert_f64" && !fits(scheme.scheme, 48)) ||
          (name == "bert_odd" && !fits(scheme.scheme, 40)))
        options.keep = {"*"};
      const ConversionPlan plan = plan_conversion(options);
      EXPECT_FALSE(fs::exists(options.output));
      const Conversion done = convert(options);
      EXPECT_EQ(done.bytes, plan.predicted_bytes);
      uint64_t weights = 0;
      for (const auto& [file, bytes] : plan.files) {
        EXPECT_EQ(fs::file_size(options.output / file), bytes);
        weights += bytes;
      }
      EXPECT_EQ(weights, plan.predicted_bytes);
      EXPECT_EQ(test::bytes_in(options.output), plan.folder_bytes);
      EXPECT_THAT(names_in(folder.path()), ElementsAre("out"));
      uint64_t tensors = 0;
      for (const PlannedTensor& t : plan.tensors) tensors += t.bytes;
      EXPECT_NEAR(plan.bits_per_weight,
                  8.0 * static_cast<double>(tensors) / static_cast<double>(plan.parameters), 1e-12);
    }
}

// ---- stored schemes

TEST(Convert, StoresTheBytesOfQuantize) {
  const RawTensors source = test::read_tensors(tiny("bert_f16") / "model.safetensors");
  for (const Scheme& scheme :
       {Scheme{Mode::affine, 4, 64, Dtype::f16}, Scheme{Mode::affine, 3, 32, Dtype::bf16},
        Scheme{Mode::mxfp8, 8, 32, Dtype::f16}, Scheme{Mode::int8, 8, 0, Dtype::f16}}) {
    SCOPED_TRACE(to_string(scheme));
    const TemporaryFolder folder;
    convert({.model = tiny("bert_f16"), .output = folder / "out", .scheme = scheme});
    const Checkpoint written = Checkpoint::open(folder / "out");
    int compared = 0;
    for (const auto& [name, tensor] : source) {
      const StoredWeight stored = written.stored(name);
      const int64_t rows = tensor.shape.size() == 2 ? tensor.shape[0] : 1;
      const Scheme expected_scheme =
          stored.scheme.mode == Mode::none ? Scheme{.dtype = scheme.dtype} : scheme;
      const QuantizedMatrix expected =
          quantize(tensor.data, tensor.dtype, rows, tensor.shape.back(), expected_scheme, 1);
      EXPECT_TRUE(std::ranges::equal(stored.codes, expected.codes)) << name;
      EXPECT_TRUE(std::ranges::equal(stored.scales, expected.scales)) << name;
      EXPECT_TRUE(std::ranges::equal(stored.biases, expected.biases)) << name;
      compared += stored.scheme.mode != Mode::none;
    }
    EXPECT_EQ(compared, 2 + 2 * 6 + 1);  // words, positions; two layers; the pooler
  }
}

TEST(Convert, KeepsNormsBiasesTokenTypesAndTheClassifierFloat) {
  const ConversionPlan plan = plan_conversion({.model = tiny("bert_prefix"), .scheme = kAffine8g32});
  for (const auto& [name, mode] :
       std::map<std::string, Mode>{{"bert.embeddings.word_embeddings.weight", Mode::affine},
                                   {"bert.embeddings.position_embeddings.weight", Mode::affine},
                                   {"bert.embeddings.token_type_embeddings.weight", Mode::none},
                                   {"bert.embeddings.LayerNorm.weight", Mode::none},
                                   {"bert.encoder.layer.0.output.dense.weight", Mode::affine},
                                   {"bert.encoder.layer.0.output.dense.bias", Mode::none},
                                   {"bert.pooler.dense.weight", Mode::affine},
                                   {"classifier.weight", Mode::none}}) {
    const PlannedTensor& tensor = planned(plan, name);
    EXPECT_EQ(tensor.scheme.mode, mode) << name;
    EXPECT_EQ(tensor.reason.empty(), mode == Mode::affine) << name << ": " << tensor.reason;
    if (mode == Mode::none) {
      EXPECT_EQ(tensor.scheme.dtype, Dtype::f16) << name;
    }
  }
}

TEST(Convert, OverridesGoIntoConfigUnderTheNamesOfAllReaders) {
  const TemporaryFolder folder;
  convert({.model = tiny("bert_prefix"),
           .output = folder / "out",
           .scheme = kAffine8g32,
           .keep = {"encoder.layer.2.*"},
           .overrides = {"*.intermediate.dense=4", "pooler.dense=16"}});
  const nlohmann::json config = config_of(folder / "out");
  const nlohmann::json four{{"bits", 4}, {"group_size", 32}, {"mode", "affine"}};
  EXPECT_EQ(config["quantization"], (nlohmann::json{{"bits", 8},
                                                    {"group_size", 32},
                                                    {"mode", "affine"},
                                                    {"bert.encoder.layer.0.intermediate.dense", four},
                                                    {"bert.encoder.layer.1.intermediate.dense", four},
                                                    {"encoder.layer.0.intermediate.dense", four},
                                                    {"encoder.layer.1.intermediate.dense", four},
                                                    {"encoder.layers.0.linear1", four},
                                                    {"encoder.layers.1.linear1", four}}));
  EXPECT_EQ(config["quantization"], config["quantization_config"]);
  const LoadedModel loaded = load_model(folder / "out", {});
  EXPECT_EQ(loaded.checkpoint.stored("encoder.layer.1.intermediate.dense.weight").scheme.bits, 4);
  EXPECT_EQ(loaded.checkpoint.stored("encoder.layer.2.intermediate.dense.weight").scheme.mode, Mode::none);
  EXPECT_EQ(loaded.checkpoint.stored("pooler.dense.weight").scheme.mode, Mode::none);
}

TEST(Convert, APatternThatMatchesNothingIsAnError) {
  EXPECT_THAT(
      error_text(
          [] { plan_conversion({.model = tiny("bert"), .scheme = kAffine8g32, .keep = {"clasifier"}}); },
          ErrorCode::usage),
      HasSubstr("--keep clasifier"));
}

TEST(Convert, SaysWhichGroupItFellBackToAndRefusesUnderStrict) {
  const TemporaryFolder folder;
  test::Heard heard;
  ConvertOptions options{.model = tiny("bert"), .output = folder / "out", .warning = heard.warning()};
  const ConversionPlan plan = plan_conversion(options);
  ASSERT_EQ(plan.warnings.size(), 1u);  // one sentence for all tensors, not one each
  EXPECT_THAT(plan.warnings[0], HasSubstr("group size 64 does not divide 32 columns: 32 used"));
  EXPECT_EQ(heard.sentences, plan.warnings);
  EXPECT_EQ(planned(plan, "pooler.dense.weight").scheme.group_size, 32);
  EXPECT_THAT(planned(plan, "pooler.dense.weight").reason, HasSubstr("32 used"));

  options.strict = true;
  EXPECT_THAT(error_text([&] { convert(options); }, ErrorCode::strict),
              HasSubstr("group size 64 does not divide 32 columns"));
  EXPECT_THAT(names_in(folder.path()), IsEmpty());
}

// 24 and 48 columns, which no group of 32 or more divides.
TEST(Convert, ASchemeThatFitsNoMatrixIsAnErrorUnlessAllShallStayFloat) {
  const TemporaryFolder folder;
  ConvertOptions options{.model = tiny("bert_f64"), .output = folder / "out"};
  for (const Scheme& scheme :
       {Scheme{Mode::affine, 8, 64, Dtype::f16}, kAffine8g32, Scheme{Mode::mxfp8, 8, 32, Dtype::f16}}) {
    options.scheme = scheme;
    for (const bool strict : {false, true}) {
      options.strict = strict;
      const std::string text = error_text([&] { convert(options); }, ErrorCode::usage);
      EXPECT_THAT(text, HasSubstr("no tensor can be stored as " + to_string(scheme)));
      EXPECT_THAT(text, ::testing::ContainsRegex("divides? 24 columns: kept float"));
      EXPECT_THAT(text, HasSubstr("--q-mode int8"));
      EXPECT_EQ(error_text([&] { plan_conversion(options); }, ErrorCode::usage), text);
    }
    EXPECT_THAT(names_in(folder.path()), IsEmpty());
  }
  options.strict = false;
  options.keep = {"encoder.*"};  // the other matrices can't be quantized, either
  error_text([&] { convert(options); }, ErrorCode::usage);

  options.keep = {"*"};
  const Conversion done = convert(options);
  EXPECT_THAT(done.plan.warnings, ::testing::Contains(HasSubstr("all stay float")));
  EXPECT_FALSE(config_of(folder / "out").contains("quantization"));
  const std::string card = test::read_file(folder / "out" / "README.md");
  EXPECT_THAT(card, HasSubstr("(float16)"));
  EXPECT_THAT(card, HasSubstr("encoder cast by mlx-encoder"));
  EXPECT_THAT(card, Not(HasSubstr("quantized")));
}

TEST(Convert, ACardShowsTheCommandThatTheModelIsMadeFor) {
  for (const auto& [model, example] : std::initializer_list<std::pair<const char*, const char*>>{
           {"st_mean_norm", "mlx-encoder embed . "},
           {"splade", "mlx-encoder embed-sparse . "},
           {"colbert", "mlx-encoder embed-tokens . --document "},
           {"distilbert_nli", "mlx-encoder classify . \"a premise\" --pair "},
           {"bert_mlm", "mlx-encoder fill-mask . \"a text with a [MASK]\""},
           {"qwen3_rerank", "mlx-encoder rerank . "},
           {"bert_qa", "mlx-encoder qa . --question "},
           {"bert_choice", "mlx-encoder choose . "}}) {
    const TemporaryFolder folder;
    convert({.model = tiny(model), .output = folder / "out", .scheme = {.dtype = Dtype::f16}});
    EXPECT_THAT(test::read_file(folder / "out" / "README.md"), HasSubstr(example)) << model;
  }
}

TEST(Convert, ACardSaysWhatWasStored) {
  const TemporaryFolder folder;
  const auto card = [&](ConvertOptions options) {
    options.model = tiny("bert");
    options.output = folder / "out";
    options.if_done = IfDone::rewrite;
    convert(options);
    return test::read_file(folder / "out" / "README.md");
  };
  // Groups of 64 are requested; they do not divide the 32 columns of most matrices.
  EXPECT_THAT(card({.scheme = {Mode::affine, 8, 64, Dtype::f16}}),
              HasSubstr("# bert (affine 8-bit float16, groups of 32 and 64)"));
  EXPECT_THAT(card({.scheme = kAffine8g32}), HasSubstr("# bert (affine 8-bit g32 float16)"));
  EXPECT_THAT(card({.scheme = kAffine8g32}), HasSubstr("A `bert` encoder quantized by"));
  EXPECT_THAT(card({.scheme = kAffine8g32, .keep = {"encoder.layer.0.*"}}),
              HasSubstr(" matrices quantized by"));
  EXPECT_THAT(card({.scheme = kAffine8g32, .overrides = {"encoder.layer.0.*=4:32"}}),
              ::testing::ContainsRegex("# bert .mixed, [0-9.]+ bits a weight."));
  EXPECT_THAT(card({.scheme = {.dtype = Dtype::bf16}}), HasSubstr("# bert (bfloat16)"));
}

// As seen in published models: values on a grid, stored as floats, without a note in any file.
TEST(Convert, SaysThatASourceWasQuantizedBeforeWhereOnlyItsValuesShowIt) {
  const TemporaryFolder folder;
  const fs::path fake = folder / "fake";
  convert({.model = tiny("bert"), .output = fake, .scheme = {.mode = Mode::fake, .bits = 8}});
  const auto warnings = [](const fs::path& model) {
    return plan_conversion({.model = model, .scheme = kAffine8g32}).warnings;
  };
  EXPECT_THAT(warnings(fake), ::testing::Contains(HasSubstr("fake-quantized: its floats")));
  test::change_config(fake, [](nlohmann::json& c) { c.erase("mlx_encoder"); });
  const fs::path bare = test::changed_copy(fake, folder / "bare", [](RawTensors& t) {
    std::erase_if(t, [](const auto& item) {
      return item.first.ends_with(".scale") || item.first.ends_with(".zero_point");
    });
  });
  const auto note = ::testing::AllOf(HasSubstr("fake-quantized (encoder.layer.0"),
                                     HasSubstr("on an even grid"), HasSubstr("second rounding"));
  EXPECT_THAT(warnings(bare), ::testing::Contains(note));
  EXPECT_THAT(
      error_text(
          [&] { convert({.model = bare, .output = folder / "out", .scheme = kAffine8g32, .strict = true}); },
          ErrorCode::strict),
      note);
  // A grid for each row is one, too.
  const fs::path rows = test::changed_copy(tiny("bert"), folder / "rows", [](RawTensors& t) {
    test::RawTensor& tensor = t.at("encoder.layer.1.intermediate.dense.weight");
    std::vector<float> values = test::floats(tensor);
    const auto columns = static_cast<size_t>(tensor.shape[1]);
    for (size_t at = 0; at < values.size(); at += columns) {
      const auto row = std::span(values).subspan(at, columns);
      const float step = (std::ranges::max(row) - std::ranges::min(row)) / 200;
      for (float& v : row) v = std::round(v / step) * step;
    }
    tensor = test::float_tensor(tensor.shape, values);
  });
  EXPECT_THAT(warnings(rows), ::testing::Contains(HasSubstr("encoder.layer.1.intermediate.dense.weight")));
  // The twins: trained weights in every float type.
  for (const char* model : {"bert", "bert_f16", "bert_bf16", "distilbert", "roberta"})
    EXPECT_THAT(warnings(tiny(model)), Not(::testing::Contains(HasSubstr("fake")))) << model;
}

// Matrices above 8 million values are converted in slices; float32 and back is a slice of its own kind.
TEST(Convert, AMatrixInSlicesHasTheBytesOfOneCall) {
  const TemporaryFolder folder;
  const char* words = "embeddings.word_embeddings.weight";
  constexpr int64_t kRows = 300'001;
  std::vector<float> values;
  const fs::path model = test::changed_copy(tiny("bert"), folder / "model", [&](RawTensors& t) {
    const int64_t columns = t.at(words).shape[1];
    values = test::random_weights(static_cast<size_t>(kRows * columns), 7);
    t.at(words) = test::float_tensor({kRows, columns}, values);
  });
  test::change_config(model, [&](nlohmann::json& c) { c["vocab_size"] = kRows; });
  fs::remove(model / "tokenizer.json");
  const int64_t columns = static_cast<int64_t>(values.size()) / kRows;
  ASSERT_GT(values.size(), 8'000'000u);
  for (const Scheme& scheme : {kAffine8g32, Scheme{.mode = Mode::int8, .bits = 8},
                               Scheme{.mode = Mode::fake, .bits = 8}, Scheme{.dtype = Dtype::f16}}) {
    const fs::path out = folder / to_string(scheme);
    const Conversion done = convert({.model = model, .output = out, .scheme = scheme});
    const RawTensors written = test::read_tensors(out / "model.safetensors");
    const QuantizedMatrix whole = quantize(std::as_bytes(std::span(values)), Dtype::f32, kRows, columns,
                                           planned(done.plan, words).scheme, 2);
    EXPECT_EQ(written.at(words).data, whole.codes) << to_string(scheme);
    if (scheme.mode != Mode::affine) continue;
    EXPECT_EQ(written.at("embeddings.word_embeddings.scales").data, whole.scales);
    EXPECT_EQ(written.at("embeddings.word_embeddings.biases").data, whole.biases);
    convert({.model = out, .output = folder / "again", .scheme = {.dtype = Dtype::f32}});
    EXPECT_EQ(test::floats(test::read_tensors(folder / "again/model.safetensors").at(words)),
              dequantize(whole));
  }
  values[values.size() - 2] = NAN;
  const fs::path damaged = test::changed_copy(model, folder / "damaged", [&](RawTensors& t) {
    t.at(words) = test::float_tensor({kRows, columns}, values);
  });
  EXPECT_THAT(
      error_text([&] { convert({.model = damaged, .output = folder / "none", .scheme = kAffine8g32}); },
                 ErrorCode::numeric),
      HasSubstr(fmt::format("{}, row {}, column {}: found NaN", words, kRows - 1, columns - 2)));
}

TEST(Convert, BringsOldNamesUpToDateAndDropsConstants) {
  const TemporaryFolder folder;
  const Conversion done =
      convert({.model = tiny("bert_old_names"), .output = folder / "out", .scheme = kAffine8g32});
  const RawTensors written = test::read_tensors(folder / "out" / "model.safetensors");
  EXPECT_TRUE(written.contains("bert.embeddings.LayerNorm.weight"));
  EXPECT_TRUE(written.contains("cls.predictions.transform.LayerNorm.bias"));
  for (const auto& [name, tensor] : written) {
    EXPECT_THAT(name, Not(HasSubstr("gamma")));
    EXPECT_THAT(name, Not(HasSubstr("position_ids")));
  }
  EXPECT_THAT(done.plan.notes, ::testing::Contains(HasSubstr("position_ids")));
  ASSERT_EQ(done.plan.warnings.size(), 1u);
  EXPECT_THAT(done.plan.warnings[0], HasSubstr("cls.seq_relationship.bias"));
  EXPECT_THAT(done.plan.warnings[0], Not(HasSubstr("cls.predictions")));
  EXPECT_EQ(planned(done.plan, "cls.predictions.transform.dense.weight").scheme, kAffine8g32);
  EXPECT_EQ(planned(done.plan, "cls.seq_relationship.weight").role, "unused");
  EXPECT_EQ(planned(done.plan, "cls.seq_relationship.weight").scheme, (Scheme{.dtype = Dtype::f16}));
}

TEST(Convert, StoresTiedTensorsOnce) {
  const TemporaryFolder folder;
  const fs::path model = test::changed_copy(tiny("bert_old_names"), folder / "tied", [](RawTensors& t) {
    t["cls.predictions.decoder.weight"] = t.at("bert.embeddings.word_embeddings.weight");
    t["cls.predictions.decoder.bias"] = t.at("cls.predictions.bias");
  });
  test::Heard heard;
  const Conversion done =
      convert({.model = model, .output = folder / "out", .scheme = kAffine8g32, .warning = heard.warning()});
  const RawTensors written = test::read_tensors(folder / "out" / "model.safetensors");
  EXPECT_FALSE(written.contains("cls.predictions.decoder.weight"));
  EXPECT_FALSE(written.contains("cls.predictions.decoder.bias"));
  EXPECT_THAT(done.plan.notes, ::testing::Contains(HasSubstr("stored once")));
  EXPECT_EQ(heard.sentences.size(), 1u);  // about the copied head; none about a difference

  const fs::path albert = test::changed_copy(tiny("albert"), folder / "albert", [](RawTensors& t) {
    t["predictions.decoder.weight"] = t.at("embeddings.word_embeddings.weight");
  });
  convert({.model = albert, .output = folder / "albert_out", .scheme = kAffine8g32});
  EXPECT_FALSE(
      test::read_tensors(folder / "albert_out" / "model.safetensors").contains("predictions.decoder.weight"));

  // Different tensors give a warning. If the model declares them untied, both are kept.
  const fs::path differs = test::changed_copy(model, folder / "differs", [](RawTensors& t) {
    t["cls.predictions.decoder.weight"].data[5] ^= std::byte{1};
  });
  test::Heard loud;
  convert({.model = differs, .output = folder / "out2", .scheme = kAffine8g32, .warning = loud.warning()});
  EXPECT_THAT(loud.sentences, ::testing::Contains(HasSubstr("cls.predictions.decoder.weight differs")));
  test::change_config(differs, [](nlohmann::json& c) { c["tie_word_embeddings"] = false; });
  convert({.model = differs, .output = folder / "out3", .scheme = kAffine8g32});
  EXPECT_TRUE(
      test::read_tensors(folder / "out3" / "model.safetensors").contains("cls.predictions.decoder.weight"));
}

TEST(Convert, CarriesTokenizerAndSentenceFilesButNoStaleIndex) {
  const TemporaryFolder folder;
  fs::copy(tiny("st_dense"), folder / "model", fs::copy_options::recursive);
  test::write_file(folder / "model" / "LICENSE", "free");
  test::write_file(folder / "model" / "pytorch_model.bin.index.json", "{}");
  test::write_file(folder / "model" / "onnx" / "model.onnx", "x");
  test::write_file(folder / "model" / "README.md",
                   "---\nlicense: apache-2.0\nlanguage:\n- en\nsecret: x\n---\n# Old");
  const Conversion done =
      convert({.model = folder / "model", .output = folder / "out", .scheme = kAffine8g32});
  for (const char* file : {"tokenizer.json", "vocab.txt", "modules.json", "2_Dense/config.json",
                           "2_Dense/model.safetensors", "config_sentence_transformers.json", "LICENSE"})
    EXPECT_EQ(test::read_file(folder / "out" / file), test::read_file(folder / "model" / file)) << file;
  EXPECT_FALSE(fs::exists(folder / "out" / "onnx"));
  EXPECT_FALSE(fs::exists(folder / "out" / "pytorch_model.bin.index.json"));
  EXPECT_THAT(done.plan.notes, ::testing::Contains(HasSubstr("onnx")));
  const std::string card = test::read_file(folder / "out" / "README.md");
  EXPECT_THAT(card, ::testing::StartsWith("---\nlibrary_name: mlx\nlicense: apache-2.0\nlanguage:\n- en\n"));
  EXPECT_THAT(card, Not(HasSubstr("secret")));
  EXPECT_THAT(card, Not(HasSubstr("# Old")));
}

TEST(Convert, WritesConfigAsMlxLmDoes) {
  const TemporaryFolder folder;
  fs::copy(tiny("bert"), folder / "model", fs::copy_options::recursive);
  test::change_config(folder / "model", [](nlohmann::json& c) {
    c["_name_or_path"] = "someone/their-bert";
    c["torch_dtype"] = "float32";
  });
  convert({.model = folder / "model", .output = folder / "out", .scheme = kAffine8g32});
  const std::string text = test::read_file(folder / "out" / "config.json");
  const nlohmann::json config = nlohmann::json::parse(text);
  EXPECT_EQ(text, config.dump(4) + "\n");  // sorted, indented by 4
  EXPECT_FALSE(config.contains("_name_or_path"));
  EXPECT_EQ(config["torch_dtype"], "float16");
  EXPECT_EQ(config["dtype"], "float16");
  EXPECT_EQ(config["quantization"], (nlohmann::json{{"bits", 8}, {"group_size", 32}, {"mode", "affine"}}));
}

TEST(Convert, KnowsTheNameOfAModelFromTheHubsCache) {
  const TemporaryFolder folder;
  const fs::path snapshot = folder / "models--someone--their-bert/snapshots/0123";
  fs::create_directories(snapshot.parent_path());
  fs::copy(tiny("bert"), snapshot, fs::copy_options::recursive);
  convert({.model = snapshot, .output = folder / "out", .scheme = kAffine8g32});
  const std::string card = test::read_file(folder / "out" / "README.md");
  EXPECT_THAT(card, HasSubstr("base_model: someone/their-bert\n"));
  EXPECT_THAT(card, HasSubstr("# their-bert (affine 8-bit g32 float16)"));
}

TEST(Convert, MarksItsOwnLayouts) {
  for (const Mode mode : {Mode::int8, Mode::fake}) {
    const TemporaryFolder folder;
    convert({.model = tiny("bert"), .output = folder / "out", .scheme = {mode, 8, 0, Dtype::f16}});
    const nlohmann::json config = config_of(folder / "out");
    EXPECT_EQ(config["mlx_encoder"], (nlohmann::json{{"scheme", name(mode)}, {"version", 1}}));
    EXPECT_FALSE(config.contains("quantization"));
    const RawTensors written = test::read_tensors(folder / "out" / "model.safetensors");
    const auto& weight = written.at("pooler.dense.weight");
    EXPECT_EQ(weight.dtype, mode == Mode::int8 ? Dtype::i8 : Dtype::f32);
    EXPECT_EQ(written.at("pooler.dense.weight.scale").shape, (Shape{mode == Mode::int8 ? 32 : 1}));
    // The baseline leaves embeddings as they were.
    EXPECT_EQ(written.at("embeddings.word_embeddings.weight").dtype,
              mode == Mode::int8 ? Dtype::i8 : Dtype::f32);
  }
}

TEST(Convert, Shards) {
  const TemporaryFolder folder;
  const ConvertOptions options{
      .model = tiny("bert"), .output = folder / "out", .scheme = kAffine8g32, .max_shard_size = 8000};
  const Conversion done = convert(options);
  ASSERT_GT(done.plan.files.size(), 2u);
  EXPECT_EQ(done.plan.files[0].first,
            fmt::format("model-00001-of-{:05}.safetensors", done.plan.files.size()));
  const nlohmann::json index = read_json(folder / "out" / "model.safetensors.index.json");
  size_t tensors = 0;
  for (const auto& [file, bytes] : done.plan.files) {
    const SafetensorsFile shard(folder / "out" / file);
    EXPECT_EQ(shard.metadata().at("format"), "mlx");
    uint64_t payload = 0;
    for (const TensorView& t : shard.tensors()) {
      EXPECT_EQ(index["weight_map"][t.name], file);
      payload += t.data.size();
      ++tensors;
    }
    EXPECT_TRUE(payload <= options.max_shard_size || shard.tensors().size() <= 3)
        << file;  // one weight may be larger
  }
  EXPECT_EQ(index["weight_map"].size(), tensors);
  const fs::path whole = folder / "whole";
  convert({.model = tiny("bert"), .output = whole, .scheme = kAffine8g32});
  EXPECT_EQ(test::hidden_of(folder / "out").values, test::hidden_of(whole).values);
}

// ---- the same input, the same output

TEST(Convert, GivesTheSameBytesAgainAndOnAnyNumberOfThreads) {
  const TemporaryFolder folder;
  for (const Scheme& scheme : {kAffine8g32, Scheme{Mode::fake, 8, 0, Dtype::f16}}) {
    std::string first;
    for (const int threads : {1, 2, 5}) {
      const fs::path out = folder / fmt::format("{}-{}", name(scheme.mode), threads);
      convert({.model = tiny("bert_f16"), .output = out, .scheme = scheme, .threads = threads});
      if (first.empty()) first = weights_hash(out);
      EXPECT_EQ(weights_hash(out), first) << threads;
    }
  }
}

TEST(Convert, RecognisesItsOwnWorkAndNothingElse) {
  const TemporaryFolder folder;
  fs::copy(tiny("bert"), folder / "model", fs::copy_options::recursive);
  ConvertOptions options{.model = folder / "model", .output = folder / "out", .scheme = kAffine8g32};
  EXPECT_FALSE(convert(options).skipped);
  const std::string before = weights_hash(options.output);
  const auto written = fs::last_write_time(options.output / "model.safetensors");
  const Conversion again = convert(options);
  EXPECT_TRUE(again.skipped);
  EXPECT_EQ(again.bytes, again.plan.predicted_bytes);
  EXPECT_EQ(fs::last_write_time(options.output / "model.safetensors"), written);

  ConvertOptions other = options;
  other.scheme.bits = 4;
  EXPECT_THAT(error_text([&] { convert(other); }, ErrorCode::usage), HasSubstr("another conversion"));
  EXPECT_EQ(weights_hash(options.output), before);  // nothing lost
  other.if_done = IfDone::rewrite;
  EXPECT_FALSE(convert(other).skipped);
  EXPECT_NE(weights_hash(options.output), before);
  options.if_done = IfDone::rewrite;
  convert(options);
  options.if_done = IfDone::skip;
  EXPECT_EQ(weights_hash(options.output), before);

  RawTensors tensors = test::read_tensors(folder / "model" / "model.safetensors");
  tensors.at("pooler.dense.bias").data[0] ^= std::byte{1};
  test::write_tensors(folder / "model" / "model.safetensors", tensors);
  EXPECT_THAT(error_text([&] { convert(options); }, ErrorCode::usage), HasSubstr("changed since"));
  tensors.at("pooler.dense.bias").data[0] ^= std::byte{1};
  test::write_tensors(folder / "model" / "model.safetensors", tensors);
  EXPECT_TRUE(convert(options).skipped);

  test::write_file(options.output / "tokenizer.json", "{}");
  EXPECT_THAT(error_text([&] { convert(options); }, ErrorCode::usage), HasSubstr("files were changed"));
  EXPECT_THAT(names_in(folder.path()), ElementsAre("model", "out"));
}

TEST(Convert, NeverTouchesAFolderThatIsNoModel) {
  const TemporaryFolder folder;
  test::write_file(folder / "precious" / "thesis.txt", "years of work");
  ConvertOptions options{.model = tiny("bert"), .output = folder / "precious", .scheme = kAffine8g32};
  error_text([&] { convert(options); }, ErrorCode::usage);
  options.if_done = IfDone::rewrite;
  error_text([&] { convert(options); }, ErrorCode::usage);
  EXPECT_THAT(names_in(folder.path()), ElementsAre("precious"));
  EXPECT_THAT(names_in(folder / "precious"), ElementsAre("thesis.txt"));
  options = {
      .model = tiny("bert"), .output = tiny("bert"), .scheme = kAffine8g32, .if_done = IfDone::rewrite};
  EXPECT_THAT(error_text([&] { convert(options); }, ErrorCode::usage), HasSubstr("input folder"));
}

TEST(Convert, NoticesASourceThatChangesWhileItIsRead) {
  const TemporaryFolder folder;
  const auto changed_by = [&](const std::function<void(const fs::path&)>& change, const char* names) {
    fs::remove_all(folder / "model");
    fs::copy(tiny("st_dense"), folder / "model", fs::copy_options::recursive);
    bool done = false;
    const ConvertOptions options{.model = folder / "model",
                                 .output = folder / "out",
                                 .scheme = kAffine8g32,
                                 .progress = [&](std::string_view stage, uint64_t, uint64_t) {
                                   if (stage == "converting" && !std::exchange(done, true))
                                     change(folder / "model");
                                 }};
    if (*names == '\0') {
      EXPECT_NO_THROW(convert(options));
      return;
    }
    EXPECT_THAT(error_text([&] { convert(options); }, ErrorCode::io),
                ::testing::AllOf(HasSubstr("changed while it was read"), HasSubstr(names)));
    EXPECT_THAT(names_in(folder.path()), ElementsAre("model"));
  };
  changed_by(
      [](const fs::path& model) {  // in place, the same size
        std::fstream file(model / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(-1, std::ios::end);
        file.put('\x01');
      },
      "model.safetensors");
  changed_by(
      [](const fs::path& model) {  // another file of the same bytes
        fs::copy_file(model / "tokenizer.json", model / "new");
        fs::rename(model / "new", model / "tokenizer.json");
      },
      "tokenizer.json");
  changed_by([](const fs::path& model) { fs::resize_file(model / "config.json", 3); }, "config.json");
  changed_by(
      [](const fs::path& model) {
        for (const auto& entry : fs::directory_iterator(model))
          if (entry.is_directory() && fs::exists(entry.path() / "model.safetensors"))
            fs::last_write_time(entry.path() / "model.safetensors", fs::file_time_type::clock::now());
      },
      "Dense/model.safetensors");
  // The twin: a file that no conversion reads may change.
  changed_by([](const fs::path& model) { test::write_file(model / "notes.md", "x"); }, "");
}

// File names may be any bytes: the same conversion is still recognised.
TEST(Convert, FileNamesNeedNotBeUtf8) {
  const TemporaryFolder folder;
  const std::string name =
      "LICENSE-fran\xE7"
      "ais\\x.txt";
  fs::copy(tiny("st_mean_norm"), folder / "model", fs::copy_options::recursive);
  test::write_file(folder / "model" / name, "x");
  ConvertOptions options{.model = folder / "model", .output = folder / "out", .scheme = kAffine8g32};
  EXPECT_FALSE(convert(options).skipped);
  EXPECT_EQ(test::read_file(folder / "out" / name), "x");
  EXPECT_TRUE(convert(options).skipped);
  test::write_file(folder / "out" / name, "y");
  EXPECT_THAT(error_text([&] { convert(options); }, ErrorCode::usage), HasSubstr("files were changed"));
  options.if_done = IfDone::rewrite;
  EXPECT_FALSE(convert(options).skipped);
  options.output = folder / "\xFF";
  EXPECT_FALSE(convert(options).skipped);
}

// ---- sources that are quantized already

TEST(Convert, CopiesWhatIsStoredAsAskedAndSaysWhatItRequantizes) {
  const TemporaryFolder folder;
  convert({.model = tiny("bert"), .output = folder / "eight", .scheme = kAffine8g32});
  const Conversion same =
      convert({.model = folder / "eight", .output = folder / "again", .scheme = kAffine8g32});
  EXPECT_THAT(same.plan.warnings, IsEmpty());
  EXPECT_EQ(sha256_hex(folder / "eight" / "model.safetensors"),
            sha256_hex(folder / "again" / "model.safetensors"));

  Scheme four = kAffine8g32;
  four.bits = 4;
  const Conversion requantized =
      convert({.model = folder / "eight", .output = folder / "four", .scheme = four});
  EXPECT_THAT(requantized.plan.warnings, ElementsAre(HasSubstr("second rounding")));
  const Checkpoint eight = Checkpoint::open(folder / "eight"), result = Checkpoint::open(folder / "four");
  const StoredWeight source = eight.stored("pooler.dense.weight"),
                     stored = result.stored("pooler.dense.weight");
  const auto bytes = [](std::span<const std::byte> s) { return std::vector<std::byte>(s.begin(), s.end()); };
  const std::vector<float> values =
      dequantize({source.scheme, 32, 32, bytes(source.codes), bytes(source.scales), bytes(source.biases)});
  const QuantizedMatrix expected = quantize(std::as_bytes(std::span(values)), Dtype::f32, 32, 32, four, 1);
  EXPECT_TRUE(std::ranges::equal(stored.codes, expected.codes));
  EXPECT_TRUE(std::ranges::equal(stored.biases, expected.biases));
}

TEST(Convert, RepairsAFakeQuantizedFolder) {
  const TemporaryFolder folder;
  convert({.model = tiny("bert"), .output = folder / "fake", .scheme = {Mode::fake, 8, 0, Dtype::f16}});
  const Conversion repaired =
      convert({.model = folder / "fake", .output = folder / "real", .scheme = kAffine8g32});
  EXPECT_THAT(repaired.plan.warnings, ElementsAre(HasSubstr("fake-quantized")));
  EXPECT_LT(repaired.plan.predicted_bytes, repaired.plan.source_bytes / 3);
  for (const auto& [name, tensor] : test::read_tensors(folder / "real" / "model.safetensors")) {
    EXPECT_FALSE(name.ends_with(".scale")) << name;
    EXPECT_FALSE(name.ends_with(".zero_point")) << name;
  }
  EXPECT_FALSE(config_of(folder / "real").contains("mlx_encoder"));
  // Tolerance: the second rounding moves a weight by at most half an 8-bit step of its group of 32, like
  // the rounding of the direct conversion. So the repaired model is about as far from the fake one as the
  // direct one is from the original. Twice that is allowed. 4 bits, 17 times coarser, must not pass.
  convert({.model = tiny("bert"), .output = folder / "direct", .scheme = kAffine8g32});
  const Matrix original = test::hidden_of(tiny("bert"));
  const double one_rounding = test::largest_difference(test::hidden_of(folder / "direct"), original);
  const Matrix fake = test::hidden_of(folder / "fake");
  EXPECT_LE(test::largest_difference(test::hidden_of(folder / "real"), fake), 2 * one_rounding);
  Scheme four = kAffine8g32;
  four.bits = 4;
  convert({.model = folder / "fake", .output = folder / "four", .scheme = four});
  EXPECT_GT(test::largest_difference(test::hidden_of(folder / "four"), fake), 2 * one_rounding);
}

TEST(Convert, DequantizesToTheValuesAReaderSees) {
  const TemporaryFolder folder;
  for (const Scheme& scheme :
       {Scheme{Mode::affine, 5, 32, Dtype::f32}, Scheme{Mode::mxfp4, 4, 32, Dtype::f16},
        Scheme{Mode::int8, 8, 0, Dtype::f16}}) {
    SCOPED_TRACE(to_string(scheme));
    const fs::path quantized = folder / name(scheme.mode),
                   plain = folder / (std::string(name(scheme.mode)) + "-plain");
    convert({.model = tiny("bert_prefix"), .output = quantized, .scheme = scheme});
    const Conversion done = dequantize_model({.model = quantized, .output = plain, .dtype = Dtype::f32});
    EXPECT_THAT(done.plan.warnings, IsEmpty());
    const nlohmann::json config = config_of(plain);
    EXPECT_FALSE(config.contains("quantization") || config.contains("quantization_config") ||
                 config.contains("mlx_encoder"));
    EXPECT_EQ(config["dtype"], "float32");
    const SafetensorsFile file(plain / "model.safetensors");
    EXPECT_EQ(file.metadata().at("format"), "pt");
    for (const TensorView& t : file.tensors()) EXPECT_EQ(t.dtype, Dtype::f32) << t.name;
    // The engine sees the same numbers; it may add them up in another order.
    const Matrix a = test::hidden_of(quantized), b = test::hidden_of(plain);
    EXPECT_LE(test::largest_difference(a, b), 1e-4);
    const QuantizedMatrix m = quantize(
        test::read_tensors(tiny("bert_prefix") / "model.safetensors").at("bert.pooler.dense.weight").data,
        Dtype::f32, 32, 32, scheme, 1);
    EXPECT_EQ(to_floats(*file.find("bert.pooler.dense.weight")), dequantize(m));
  }
}

TEST(Convert, DequantizeTakesTheDtypeOfConfig) {
  const TemporaryFolder folder;
  Scheme scheme = kAffine8g32;
  scheme.dtype = Dtype::bf16;
  convert({.model = tiny("bert"), .output = folder / "q", .scheme = scheme});
  dequantize_model({.model = folder / "q", .output = folder / "plain"});
  EXPECT_EQ(test::read_tensors(folder / "plain" / "model.safetensors").at("pooler.dense.weight").dtype,
            Dtype::bf16);
}

// ---- the layout of mlx-embeddings

TEST(MlxEmbeddingsLayout, IsABareEncoderThatComputesTheSame) {
  for (const char* model :
       {"bert", "bert_mlm_untied", "bert_prefix", "distilbert", "distilbert_cls", "roberta", "roberta_cls",
        "xlm_roberta", "xlm_roberta_cls", "camembert_ner", "bert_qa", "roberta_choice"})
    for (const Scheme& scheme :
         {Scheme{Mode::none, 0, 0, Dtype::f32}, Scheme{Mode::affine, 8, 32, Dtype::f32}}) {
      SCOPED_TRACE(std::string(model) + " " + to_string(scheme));
      const TemporaryFolder folder;
      convert({.model = tiny(model), .output = folder / "hf", .scheme = scheme});
      const Conversion done = convert({.model = tiny(model),
                                       .output = folder / "theirs",
                                       .scheme = scheme,
                                       .layout = Layout::mlx_embeddings});
      EXPECT_EQ(done.bytes, done.plan.predicted_bytes);
      const nlohmann::json config = config_of(folder / "theirs");
      const std::string_view name = model;
      const bool roberta = name.find("roberta") != std::string_view::npos || name.starts_with("camembert");
      EXPECT_EQ(config["model_type"], roberta ? "xlm-roberta" : "bert");
      const RawTensors written = test::read_tensors(folder / "theirs" / "model.safetensors");
      for (const auto& [written_name, tensor] : written)
        EXPECT_TRUE(written_name.starts_with("embeddings.") || written_name.starts_with("encoder.layer.") ||
                    written_name.starts_with("pooler.dense."))
            << written_name;
      EXPECT_TRUE(written.contains("embeddings.token_type_embeddings.weight"));
      EXPECT_TRUE(written.contains("pooler.dense.weight"));
      if (roberta) {
        EXPECT_EQ(config["add_pooling_layer"], true);
      }
      for (const char* key :
           {"type_vocab_size", "layer_norm_eps", "hidden_size", "num_hidden_layers", "num_attention_heads",
            "intermediate_size", "max_position_embeddings", "vocab_size"})
        EXPECT_TRUE(config.contains(key)) << key;
      // The bits are equal: the arithmetic differs only by the zeros that are added for DistilBERT.
      EXPECT_EQ(test::hidden_of(folder / "theirs").values, test::hidden_of(folder / "hf").values);
    }
}

// Qwen3 has a prefix there; what the language model adds is left out, as is rope_parameters, which it does not read.
TEST(MlxEmbeddingsLayout, OfADecoderIsItsEncoder) {
  const TemporaryFolder folder;
  const fs::path source = folder / "source";
  fs::copy(tiny("qwen3_lm"), source, fs::copy_options::recursive);
  test::change_config(source, [](nlohmann::json& c) {
    c.erase("rope_theta");
    c["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 1e6}};
  });
  std::vector<std::string> heard;
  convert({.model = source,
           .output = folder / "theirs",
           .scheme = kAffine8g32,
           .layout = Layout::mlx_embeddings,
           .warning = [&](std::string_view sentence) { heard.emplace_back(sentence); }});
  EXPECT_THAT(heard, ::testing::Contains(HasSubstr("lm_head.weight")));
  for (const auto& [name, tensor] : test::read_tensors(folder / "theirs" / "model.safetensors"))
    EXPECT_TRUE(name.starts_with("model.")) << name;
  const nlohmann::json config = config_of(folder / "theirs");
  EXPECT_EQ(config["rope_theta"], 1e6);
  EXPECT_FALSE(config.contains("rope_parameters"));
  convert({.model = source, .output = folder / "hf", .scheme = kAffine8g32});
  EXPECT_EQ(test::hidden_of(folder / "theirs").values, test::hidden_of(folder / "hf").values);
  EXPECT_THAT(error_text(
                  [&] {
                    convert({.model = tiny("qwen3"),
                             .output = folder / "windows",
                             .scheme = kAffine8g32,
                             .layout = Layout::mlx_embeddings});
                  },
                  ErrorCode::unsupported),
              HasSubstr("mlx-embeddings computes no windows"));
}

// lm_head.weight is a copy only where config.json says so: the default of a Qwen3 is another than a BERT's.
TEST(Convert, AnOutputMatrixIsTiedWhereConfigSaysSo) {
  const TemporaryFolder folder;
  const fs::path source = test::changed_copy(tiny("qwen3_lm"), folder / "source", [](RawTensors& t) {
    t["lm_head.weight"] = t.at("model.embed_tokens.weight");
  });
  const auto has_copy = [&](const nlohmann::json& tied) {
    test::change_config(source, [&](nlohmann::json& c) { c["tie_word_embeddings"] = tied; });
    convert({.model = source, .output = folder / "out", .scheme = kAffine8g32, .if_done = IfDone::rewrite});
    return test::read_tensors(folder / "out" / "model.safetensors").contains("lm_head.weight");
  };
  EXPECT_FALSE(has_copy(true));
  EXPECT_TRUE(has_copy(false));
  EXPECT_TRUE(has_copy(nullptr));
}

// T5's words are one table under two names. Files hold either, or both.
TEST(Convert, WordsOfT5AreStoredOnceUnderEitherName) {
  constexpr const char *kShared = "shared.weight", *kEncoder = "encoder.embed_tokens.weight";
  const TemporaryFolder folder;
  const auto converted = [&](const std::string& name, const std::function<void(RawTensors&)>& change) {
    const fs::path source = test::changed_copy(tiny("t5"), folder / name, change);
    convert({.model = source, .output = folder / ("out " + name), .scheme = kAffine8g32});
    return folder / ("out " + name);
  };
  const fs::path one = converted("one", [](RawTensors&) {});
  const fs::path both = converted("both", [&](RawTensors& t) { t[kEncoder] = t.at(kShared); });
  const fs::path other = converted("other", [&](RawTensors& t) {
    t[kEncoder] = t.at(kShared);
    t.erase(kShared);
  });
  for (const auto& [out, name, not_there] :
       {std::tuple(both, kShared, kEncoder), {other, kEncoder, kShared}}) {
    const RawTensors tensors = test::read_tensors(out / "model.safetensors");
    EXPECT_TRUE(tensors.contains(name)) << out;
    EXPECT_FALSE(tensors.contains(not_there)) << out;
    EXPECT_EQ(test::hidden_of(out).values, test::hidden_of(one).values) << out;
  }
}

// BART's under three: its decoder has the same table.
TEST(Convert, WordsOfBartAreStoredOnceUnderAnyName) {
  const std::vector<std::string> names{"shared.weight", "encoder.embed_tokens.weight",
                                       "decoder.embed_tokens.weight"};
  const TemporaryFolder folder;
  const auto converted = [&](const std::vector<std::string>& held) {
    const std::string name = fmt::format("{}", fmt::join(held, " "));
    const fs::path source = test::changed_copy(tiny("bart"), folder / name, [&](RawTensors& t) {
      const auto words = t.extract(names[0]);
      for (const std::string& own : held) t[own] = words.mapped();
    });
    convert({.model = source, .output = folder / ("out " + name), .scheme = kAffine8g32});
    return folder / ("out " + name);
  };
  const Matrix hidden = test::hidden_of(converted({names[0]}));
  for (const std::vector<std::string>& held :
       {std::vector{names[1]}, {names[2]}, {names[1], names[2]}, {names[0], names[1], names[2]}}) {
    const fs::path out = converted(held);
    const RawTensors tensors = test::read_tensors(out / "model.safetensors");
    for (const std::string& name : names) EXPECT_EQ(tensors.contains(name), name == held[0]) << out << name;
    EXPECT_EQ(test::hidden_of(out).values, hidden.values) << out;
  }
}

TEST(MlxEmbeddingsLayout, RefusesADecoderWithAHead) {
  for (const char* model : {"qwen3_rerank", "qwen3_cls"}) {
    const TemporaryFolder folder;
    EXPECT_THAT(error_text(
                    [&] {
                      convert({.model = tiny(model),
                               .output = folder / "out",
                               .scheme = {.dtype = Dtype::f16},
                               .layout = Layout::mlx_embeddings});
                    },
                    ErrorCode::unsupported),
                HasSubstr("a Qwen3 with a classifier"));
  }
}

// A ModernBERT loses its head and gets the pooling that the reader goes by.
TEST(MlxEmbeddingsLayout, OfAModernBertIsABareEncoderThatComputesTheSame) {
  for (const char* model : {"modernbert", "modernbert_mlm", "modernbert_cls", "modernbert_qa"}) {
    SCOPED_TRACE(model);
    const TemporaryFolder folder;
    convert({.model = tiny(model), .output = folder / "hf", .scheme = kAffine8g32});
    convert({.model = tiny(model),
             .output = folder / "theirs",
             .scheme = kAffine8g32,
             .layout = Layout::mlx_embeddings});
    const nlohmann::json config = config_of(folder / "theirs");
    EXPECT_EQ(config["architectures"], nlohmann::json::array({"ModernBertModel"}));
    EXPECT_EQ(config["classifier_pooling"], "mean");  // no modules say how
    for (const auto& [name, tensor] : test::read_tensors(folder / "theirs" / "model.safetensors"))
      EXPECT_TRUE(name.starts_with("model.embeddings.") || name.starts_with("model.layers.") ||
                  name.starts_with("model.final_norm."))
          << name;
    EXPECT_EQ(test::hidden_of(folder / "theirs").values, test::hidden_of(folder / "hf").values);
  }
  const TemporaryFolder folder;
  fs::copy(tiny("modernbert"), folder / "first", fs::copy_options::recursive);
  for (const char* file : {"modules.json", "1_Pooling"})
    fs::copy(tiny("st_cls") / file, folder / "first" / file, fs::copy_options::recursive);
  convert({.model = folder / "first",
           .output = folder / "theirs",
           .scheme = kAffine8g32,
           .layout = Layout::mlx_embeddings});
  EXPECT_EQ(config_of(folder / "theirs")["classifier_pooling"], "cls");
  test::change_config(folder / "first", [](nlohmann::json& c) {
    c["layer_types"] = {"full_attention", "full_attention", "full_attention"};
  });
  EXPECT_THAT(error_text(
                  [&] {
                    plan_conversion(
                        {.model = folder / "first", .scheme = kAffine8g32, .layout = Layout::mlx_embeddings});
                  },
                  ErrorCode::unsupported),
              HasSubstr("as mlx-embeddings takes them to"));
}

// ---- what config.json states for other readers

TEST(ConvertForReaders, StatesWhatTransformers5WritesElsewhere) {
  const TemporaryFolder folder;
  const auto written = [&](const char* model, const std::function<void(nlohmann::json&)>& change) {
    fs::copy(tiny(model), folder / model, fs::copy_options::recursive);
    test::change_config(folder / model, change);
    convert({.model = folder / model, .output = folder / "out" / model, .scheme = kAffine8g32});
    EXPECT_EQ(test::hidden_of(folder / "out" / model).rows, test::hidden_of(folder / model).rows);
    return config_of(folder / "out" / model);
  };
  fs::create_directory(folder / "out");
  const nlohmann::json qwen3 = written("st_qwen3", [](nlohmann::json& c) {
    c["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", c.at("rope_theta").get<double>()}};
    for (const char* key : {"rope_theta", "rope_scaling"}) c.erase(key);
  });
  const nlohmann::json before = config_of(tiny("st_qwen3"));
  EXPECT_EQ(qwen3["rope_theta"], before["rope_theta"]);
  EXPECT_EQ(qwen3["head_dim"], before["head_dim"]);
  EXPECT_EQ(qwen3["num_key_value_heads"], before["num_key_value_heads"]);
  const nlohmann::json modernbert = written("modernbert", [](nlohmann::json& c) {
    c["rope_parameters"] = {{"full_attention", {{"rope_type", "default"}, {"rope_theta", 5000.0}}},
                            {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 300.0}}}};
    for (const char* key : {"global_rope_theta", "local_rope_theta"}) c.erase(key);
  });
  EXPECT_EQ(modernbert["global_rope_theta"], 5000.0);
  EXPECT_EQ(modernbert["local_rope_theta"], 300.0);
  const nlohmann::json gemma3 = written("st_gemma3", [](nlohmann::json& c) {
    c["rope_parameters"] = {{"full_attention", {{"rope_type", "default"}, {"rope_theta", 5000.0}}},
                            {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 300.0}}}};
    for (const char* key : {"rope_theta", "rope_local_base_freq", "rope_scaling"}) c.erase(key);
  });
  EXPECT_EQ(gemma3["rope_theta"], 5000.0);
  EXPECT_EQ(gemma3["rope_local_base_freq"], 300.0);
  // A key that is there stays, and so do other families.
  EXPECT_EQ(
      written("xlm_roberta", [](nlohmann::json& c) { c["add_pooling_layer"] = true; })["add_pooling_layer"],
      true);
  EXPECT_FALSE(written("bert", [](nlohmann::json&) {}).contains("add_pooling_layer"));
  EXPECT_EQ(written("bge_m3", [](nlohmann::json&) {})["add_pooling_layer"], false);
}

TEST(MlxEmbeddingsLayout, RefusesAnArchitectureTheReaderHasNoModelFor) {
  const TemporaryFolder folder;
  // jina_bert, whose config.json says "bert".
  for (const char* model : {"electra", "jina_bert"})
    EXPECT_THAT(
        error_text(
            [&] {
              convert({.model = tiny(model),
                       .output = folder / "out",
                       .scheme = kAffine8g32,
                       .layout = Layout::mlx_embeddings});
            },
            ErrorCode::unsupported),
        HasSubstr(fmt::format("this version writes no {} for mlx-embeddings; use --layout hf", model)));
  EXPECT_THAT(names_in(folder.path()), IsEmpty());
}

TEST(MlxEmbeddingsLayout, SaysWhatItLeavesOut) {
  const TemporaryFolder folder;
  ConvertOptions options{.model = tiny("distilbert_cls"),
                         .output = folder / "out",
                         .scheme = kAffine8g32,
                         .layout = Layout::mlx_embeddings};
  const ConversionPlan plan = plan_conversion(options);
  EXPECT_THAT(plan.warnings, ElementsAre(HasSubstr("pre_classifier.weight")));
  EXPECT_EQ(planned(plan, "pooler.dense.weight").source, "");
  options.strict = true;
  error_text([&] { convert(options); }, ErrorCode::strict);
  EXPECT_THAT(names_in(folder.path()), IsEmpty());

  EXPECT_THAT(
      plan_conversion({.model = tiny("st_cls"), .scheme = kAffine8g32, .layout = Layout::mlx_embeddings})
          .warnings,
      ::testing::Contains(HasSubstr("averages the token vectors")));
  // Warns only if the tokenizer does not lowercase by itself.
  for (const auto& [model, said] : {std::pair("xlm_roberta", 1), std::pair("st_mean_norm", 0)}) {
    const fs::path source = folder / model;
    fs::copy(tiny(model), source, fs::copy_options::recursive);
    for (const char* file : {"modules.json", "1_Pooling"})  // without them the setting is not read
      fs::copy(tiny("st_mean_norm") / file, source / file,
               fs::copy_options::recursive | fs::copy_options::overwrite_existing);
    test::write_file(source / "sentence_bert_config.json", R"({"do_lower_case": true})");
    EXPECT_THAT(
        plan_conversion({.model = source, .scheme = kAffine8g32, .layout = Layout::mlx_embeddings}).warnings,
        ::testing::Contains(HasSubstr("do_lower_case")).Times(said));
  }
  EXPECT_THAT(
      error_text(
          [] {
            plan_conversion(
                {.model = tiny("bert_relu"), .scheme = kAffine8g32, .layout = Layout::mlx_embeddings});
          },
          ErrorCode::unsupported),
      HasSubstr("exact GELU"));
}

// ---- bad input: one clear sentence, no folder

TEST(Convert, ListsEveryMissingAndMisshapenTensor) {
  const TemporaryFolder folder;
  const fs::path model = test::changed_copy(tiny("bert"), folder / "model", [](RawTensors& t) {
    t.erase("encoder.layer.1.output.dense.weight");
    t.erase("encoder.layer.0.attention.self.query.bias");
    t["embeddings.position_embeddings.weight"] = test::float_tensor({39, 32}, std::vector<float>(39 * 32));
  });
  const std::string text = error_text(
      [&] { convert({.model = model, .output = folder / "out", .scheme = kAffine8g32}); }, ErrorCode::format);
  EXPECT_THAT(text, HasSubstr("encoder.layer.1.output.dense.weight is missing"));
  EXPECT_THAT(text, HasSubstr("encoder.layer.0.attention.self.query.bias is missing"));
  EXPECT_THAT(text,
              HasSubstr("embeddings.position_embeddings.weight is [39, 32], config.json implies [40, 32]"));
  EXPECT_THAT(names_in(folder.path()), ElementsAre("model"));
}

TEST(Convert, NamesTensorAndRowOfANaN) {
  const TemporaryFolder folder;
  const fs::path model = test::changed_copy(tiny("bert"), folder / "model", [](RawTensors& t) {
    std::vector<float> values = test::floats(t.at("encoder.layer.1.output.dense.weight"));
    values[64 * 7 + 3] = std::numeric_limits<float>::quiet_NaN();
    t["encoder.layer.1.output.dense.weight"] = test::float_tensor({32, 64}, values);
  });
  for (const Scheme& scheme :
       {kAffine8g32, Scheme{Mode::none, 0, 0, Dtype::f32}, Scheme{Mode::int8, 8, 0, Dtype::f16}}) {
    const std::string text = error_text(
        [&] { convert({.model = model, .output = folder / "out", .scheme = scheme}); }, ErrorCode::numeric);
    EXPECT_THAT(text, HasSubstr("encoder.layer.1.output.dense.weight, row 7, column 3"));
    EXPECT_THAT(names_in(folder.path()), ElementsAre("model"));
  }
}

TEST(Convert, RefusesValuesTheDtypeCannotHold) {
  const TemporaryFolder folder;
  const fs::path model = test::changed_copy(tiny("bert"), folder / "model", [](RawTensors& t) {
    std::vector<float> values = test::floats(t.at("pooler.dense.bias"));
    values[2] = 1e6f;
    t["pooler.dense.bias"] = test::float_tensor({32}, values);
  });
  EXPECT_THAT(error_text([&] { convert({.model = model, .output = folder / "out", .scheme = kAffine8g32}); },
                         ErrorCode::numeric),
              HasSubstr("pooler.dense.bias"));
  Scheme wide = kAffine8g32;
  wide.dtype = Dtype::bf16;
  convert({.model = model, .output = folder / "out", .scheme = wide});
}

TEST(Convert, RefusesWhatItCannotRead) {
  const TemporaryFolder folder;
  const auto failing = [&](const fs::path& model, ErrorCode code) {
    const std::string text =
        error_text([&] { convert({.model = model, .output = folder / "out", .scheme = kAffine8g32}); }, code);
    EXPECT_FALSE(fs::exists(folder / "out"));
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    return text;
  };
  failing(folder / "absent", ErrorCode::not_found);
  fs::copy(tiny("bert"), folder / "unknown", fs::copy_options::recursive);
  test::change_config(folder / "unknown", [](nlohmann::json& c) { c["model_type"] = "gpt2"; });
  EXPECT_THAT(failing(folder / "unknown", ErrorCode::unsupported), HasSubstr("gpt2"));
  fs::copy(tiny("bert"), folder / "activation", fs::copy_options::recursive);
  test::change_config(folder / "activation", [](nlohmann::json& c) { c["hidden_act"] = "snake"; });
  EXPECT_THAT(failing(folder / "activation", ErrorCode::unsupported), HasSubstr("snake"));
  fs::copy(tiny("bert"), folder / "cut", fs::copy_options::recursive);
  fs::resize_file(folder / "cut" / "model.safetensors",
                  fs::file_size(folder / "cut" / "model.safetensors") - 10);
  failing(folder / "cut", ErrorCode::format);
  fs::copy(tiny("bert_sharded"), folder / "shard", fs::copy_options::recursive);
  fs::remove(folder / "shard" / "model-00002-of-00003.safetensors");
  failing(folder / "shard", ErrorCode::not_found);
  EXPECT_THAT(error_text(
                  [&] {
                    convert({.model = tiny("bert"),
                             .output = folder / "out",
                             .scheme = {Mode::affine, 7, 64, Dtype::f16}});
                  },
                  ErrorCode::usage),
              HasSubstr("bits 7"));
}

// ---- the card

TEST(ModelCard, TakesMeasurementsBetweenItsMarks) {
  const TemporaryFolder folder;
  convert({.model = tiny("bert"), .output = folder / "out", .scheme = kAffine8g32});
  EXPECT_THAT(test::read_file(folder / "out" / "README.md"),
              HasSubstr("`mlx-encoder compare ORIGINAL . --texts FILE --update-card` measures it"));
  EXPECT_NO_THROW(require_measurement_place(folder / "out"));
  insert_measurements(folder / "out", "| cosine | 0.9999 |\n");
  const std::string once = test::read_file(folder / "out" / "README.md");
  EXPECT_THAT(once, HasSubstr("| cosine | 0.9999 |\n"));
  EXPECT_THAT(once, Not(HasSubstr("Not measured yet")));
  insert_measurements(folder / "out", "| cosine | 0.9998 |");
  const std::string twice = test::read_file(folder / "out" / "README.md");
  EXPECT_EQ(once.size(), twice.size());
  EXPECT_THAT(twice, Not(HasSubstr("0.9999")));
  // The conversion is still recognised: the card is not part of it.
  EXPECT_TRUE(convert({.model = tiny("bert"), .output = folder / "out", .scheme = kAffine8g32}).skipped);
}

TEST(ModelCard, KeepsTheLicenceWhateverEndsTheLines) {
  const TemporaryFolder folder;
  const std::string unix_text =
      "---\nlanguage:\n- en\n- fr\nlicense: mit\ntags:\n- x\npipeline_tag: y\n---\n# T\nlicense: gpl\n";
  const std::string kept = "language:\n- en\n- fr\nlicense: mit\npipeline_tag: y\n";
  const auto with = [&](std::string_view end) {
    std::string text;
    for (const char c : unix_text) text += c == '\n' ? std::string(end) : std::string(1, c);
    return text;
  };
  const auto front_matter = [&](const std::string& text) {
    test::write_file(folder / "README.md", text);
    return reusable_front_matter(folder / "README.md");
  };
  for (const char* end : {"\n", "\r\n", "\r"})
    for (const char* before : {"", "\xEF\xBB\xBF", "\n", "\xEF\xBB\xBF\r\n"})
      EXPECT_EQ(front_matter(before + with(end)), kept) << ::testing::PrintToString(with(end));
  EXPECT_EQ(front_matter("--- \nlicense: mit\n---\t\n"), "license: mit\n");
  EXPECT_EQ(front_matter("---\nlicense: mit\n---"), "license: mit\n");
  for (const char* none :
       {"", "---\nlicense: mit\n", "# T\n---\nlicense: mit\n---\n", "----\nlicense: mit\n---\n"})
    EXPECT_EQ(front_matter(none), "") << none;
}

}  // namespace
}  // namespace mlxe::convert_test
