// Adapters merged into models: goldens of PEFT (tools/make_adapter_goldens.py), what is refused, and conversions.
#include "mlx_encoder/adapter.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "format/adapter.h"
#include "format/provenance.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/encoder.h"
#include "model_folders.h"

namespace mlxe::adapter_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::error_text;
using test::tiny;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const fs::path kGolden = fs::path(MLXE_TEST_DATA) / "adapters";
constexpr Scheme kFloat32{.mode = Mode::none, .dtype = Dtype::f32};
constexpr Scheme kAffine8{.mode = Mode::affine, .bits = 8, .group_size = 32, .dtype = Dtype::f16};

fs::path base_of(const std::string& name) {
  return tiny(read_json(kGolden / name / "case.json")["base"].get<std::string>());
}

class Adapters : public ::testing::Test {
 protected:
  test::TemporaryFolder folder_;
  test::Heard heard_;

  // A copy of a golden's adapter.
  fs::path copy(const std::string& name, const std::function<void(json&)>& change = {}) {
    const fs::path target = folder_ / name;
    fs::copy(kGolden / name, target);
    if (change) {
      json config = read_json(target / "adapter_config.json");
      change(config);
      test::write_file(target / "adapter_config.json", config.dump());
    }
    return target;
  }
  LoadedModel load(const fs::path& base, const std::vector<fs::path>& adapters) {
    return load_model(adapted_model(base, adapters), heard_.warning());
  }
  std::string refused(const fs::path& base, const fs::path& adapter, ErrorCode code) {
    return error_text([&] { load(base, {adapter}); }, code);
  }
};

// ---- PEFT's tensors and outputs

// As a part of the largest value. PEFT and we sum at most 4 products in float32, scale, add and round the sum; of DoRA
// also a norm of 64 squares, which PEFT sums in float32: (4 + 3 + 64 / 8) * 2^-24 = 9e-7 for sums of 8 lanes.
constexpr double kMergeTolerance = 1e-6;
// As golden.h's kParityTolerance.
constexpr double kOutputTolerance = 1e-5;

const CheckpointTensor* tensor_of(const Checkpoint& checkpoint, const std::string& name) {
  const CheckpointTensor* found = checkpoint.find(name);
  return found ? found : checkpoint.find(name.substr(name.find('.') + 1));  // without "bert."
}

std::vector<float> outputs(LoadedModel& loaded, Output wanted) {
  const auto engine = make_cpu_engine({.threads = 1});
  bind(loaded, *engine);
  RunRequest request{.wanted = {wanted}};
  request.batch.append(std::vector<int32_t>{2, 17, 101, 44, 45, 3});
  request.batch.append(std::vector<int32_t>{2, 77, 3});
  RunResult result;
  engine->run(loaded.model, request, result);
  return {result[wanted].values.begin(), result[wanted].values.end()};
}

struct Differences {
  double tensors = 0, outputs = 0;
};

Differences from_peft(LoadedModel loaded, const std::string& name) {
  Differences found;
  const SafetensorsFile expected(kGolden / name / "expected.safetensors");
  for (const TensorView& tensor : expected.tensors()) {
    if (tensor.name == "outputs") continue;
    const CheckpointTensor* merged = tensor_of(loaded.checkpoint, tensor.name);
    EXPECT_NE(merged, nullptr) << tensor.name;
    if (merged)
      found.tensors =
          test::larger_error(found.tensors, test::relative_error(to_floats(merged->view), to_floats(tensor)));
  }
  const bool classify = read_json(kGolden / name / "case.json")["classify"].get<bool>();
  found.outputs = test::relative_error(outputs(loaded, classify ? Output::text_logits : Output::hidden),
                                       to_floats(*expected.find("outputs")));
  return found;
}

class AdapterGoldens : public Adapters, public ::testing::WithParamInterface<const char*> {};

TEST_P(AdapterGoldens, EqualPefts) {
  const std::string name = GetParam();
  const Differences found = from_peft(load(base_of(name), {kGolden / name}), name);
  EXPECT_LE(found.tensors, kMergeTolerance);
  EXPECT_LE(found.outputs, kOutputTolerance);
  EXPECT_THAT(heard_.sentences, Not(Contains(HasSubstr("was trained on"))));
}

// The twin: one of the adapter's matrices, 2 % larger.
TEST_P(AdapterGoldens, ShowAChangedMatrix) {
  const std::string name = GetParam();
  if (fs::exists(kGolden / name / "adapter_model.bin")) GTEST_SKIP() << "its tensors lie in a file of torch";
  const fs::path adapter = copy(name);
  const fs::path file =
      adapter / (name == "qwen3_mlx" ? "adapters.safetensors" : "adapter_model.safetensors");
  test::RawTensors tensors = test::read_tensors(file);
  const auto matrix = std::ranges::find_if(tensors, [](const auto& t) {
    return t.first.ends_with(".lora_B.weight") || t.first.ends_with(".lora_b");
  });
  ASSERT_NE(matrix, tensors.end());
  std::vector<float> values = test::floats(matrix->second);
  for (float& v : values) v *= 1.02f;
  matrix->second = test::float_tensor(matrix->second.shape, values);
  test::write_tensors(file, tensors);
  const Differences found = from_peft(load(base_of(name), {adapter}), name);
  EXPECT_GT(found.tensors, 100 * kMergeTolerance);
  EXPECT_GT(found.outputs, 10 * kOutputTolerance);
}

INSTANTIATE_TEST_SUITE_P(All, AdapterGoldens,
                         ::testing::Values("plain", "patterns", "dora", "modernbert", "qwen3", "embeddings",
                                           "dora_embeddings", "lora_bias", "new_head", "qwen3_mlx"),
                         [](const auto& test) { return std::string(test.param); });

TEST_F(Adapters, AreMergedInOrder) {
  const fs::path base = tiny("distilbert"), one = copy("patterns"), two = kGolden / "lora_bias";
  const std::string v = "transformer.layer.0.attention.v_lin.weight",
                    k = "transformer.layer.0.attention.k_lin.weight";
  const auto values = [&](const std::vector<fs::path>& adapters, const std::string& name) {
    return to_floats(load(base, adapters).checkpoint.find(name)->view);
  };
  EXPECT_EQ(values({one, two}, v), values({one}, v));
  EXPECT_EQ(values({one, two}, k), values({two}, k));
  EXPECT_EQ(values({two, one}, k), values({two}, k));
  // Twice the same: twice the change.
  const std::vector<float> none = values({}, v), once = values({one}, v);
  std::vector<float> expected = once;
  for (size_t i = 0; i < expected.size(); ++i) expected[i] += once[i] - none[i];
  EXPECT_LE(test::relative_error(values({one, one}, v), expected), kMergeTolerance);
}

TEST_F(Adapters, LeaveTheBasesFilesAlone) {
  const std::string before = test::read_file(base_of("plain") / "model.safetensors");
  const fs::path adapted = adapted_model(base_of("plain"), std::vector{kGolden / "plain"});
  EXPECT_EQ(adapted, adapted_model(base_of("plain"), std::vector{kGolden / "plain"}));
  EXPECT_EQ(adapted_model(base_of("plain"), {}), base_of("plain"));
  load(base_of("plain"), {kGolden / "plain"});
  EXPECT_EQ(test::read_file(base_of("plain") / "model.safetensors"), before);
}

// As sentence-transformers, which keeps them beside the adapter that it trained.
TEST_F(Adapters, BringTheirSentenceModules) {
  const fs::path adapter = copy("embeddings");
  for (const char* file : {"modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"})
    fs::copy_file(tiny("st_mean_norm") / file, adapter / file);
  fs::copy(tiny("st_mean_norm") / "1_Pooling", adapter / "1_Pooling", fs::copy_options::recursive);
  EXPECT_TRUE(is_adapter_alone(adapter));
  for (const char* base : {"bert", "st_mean_norm"}) {
    const LoadedModel loaded = load(tiny(base), {adapter});
    EXPECT_TRUE(loaded.sentence.declared) << base;
  }
  EXPECT_FALSE(load(tiny("bert"), {kGolden / "embeddings"}).sentence.declared);
}

// ---- what is refused or said

TEST_F(Adapters, OfOtherKindsAreRefusedByName) {
  int n = 0;
  for (const auto& [key, value, message] : std::vector<std::tuple<const char*, json, const char*>>{
           {"peft_type", "IA3", "an adapter of the type \"IA3\", expected LORA"},
           {"peft_type", "PROMPT_TUNING", "\"PROMPT_TUNING\""},
           {"use_qalora", true, "\"use_qalora\" is true"},
           {"layer_replication", {{0, 1}}, "\"layer_replication\" is [[0,1]]"},
           {"trainable_token_indices", {1, 2}, "\"trainable_token_indices\" is [1,2]"},
           {"target_parameters", {"experts"}, "\"target_parameters\""},
           {"a_key_of_tomorrow", 1, "\"a_key_of_tomorrow\" is 1"},
           {"init_lora_weights", "pissa_niter_4", "which changes the base model's weights"},
           {"rank_pattern", {{"q.*", 4}}, "the pattern \"q.*\" is a regular expression"},
           {"alpha_pattern", {{"query", 4}, {"self.query", 5}}, "two patterns name"},
       }) {
    const fs::path adapter = folder_ / std::to_string(n++);
    fs::copy(kGolden / "plain", adapter);
    json config = read_json(adapter / "adapter_config.json");
    config[key] = value;
    test::write_file(adapter / "adapter_config.json", config.dump());
    EXPECT_THAT(refused(base_of("plain"), adapter, ErrorCode::unsupported),
                AllOf(HasSubstr("adapter_config.json"), HasSubstr(message)))
        << key;
  }
  const fs::path fused = copy("qwen3_mlx", [](json& config) { config["fine_tune_type"] = "dora"; });
  EXPECT_THAT(refused(tiny("qwen3"), fused, ErrorCode::unsupported),
              HasSubstr("mlx-lm's adapter of the type \"dora\""));
}

TEST_F(Adapters, HaveDotsInPatternsThatAreAnyCharacter) {
  const std::string name = "encoder.layer.0.attention.self.query.weight";
  int n = 0;
  const auto query = [&](const json& pattern) {
    const fs::path adapter = folder_ / std::to_string(n++);
    fs::copy(kGolden / "plain", adapter);
    json config = read_json(adapter / "adapter_config.json");
    config["alpha_pattern"] = pattern;
    test::write_file(adapter / "adapter_config.json", config.dump());
    const LoadedModel loaded = load(base_of("plain"), {adapter});
    return to_floats(tensor_of(loaded.checkpoint, "bert." + name)->view);
  };
  const std::vector<float> plain = query(json::object()), named = query({{"attention.self.query", 3}});
  EXPECT_GT(test::relative_error(plain, named), 100 * kMergeTolerance);
  for (const char* pattern : {"attention.se.f.query", "^bert.encoder.layer.0.attention.s..f.query$",
                              "attention\\.self.query", "quer."})
    EXPECT_EQ(query({{pattern, 3}}), named) << pattern;
  for (const char* pattern :
       {"attention.se\\.f.query", "attention.se.lf.query", "uery", ".uer", "^attention.self.query"})
    EXPECT_EQ(query({{pattern, 3}}), plain) << pattern;
}

TEST_F(Adapters, EveryTensorHasAPlace) {
  const auto with = [&](const char* name, const std::function<void(test::RawTensors&)>& change) {
    const fs::path adapter = folder_ / name;
    fs::copy(kGolden / "plain", adapter);
    test::RawTensors tensors = test::read_tensors(adapter / "adapter_model.safetensors");
    change(tensors);
    test::write_tensors(adapter / "adapter_model.safetensors", tensors);
    return adapter;
  };
  const std::string query = "base_model.model.bert.encoder.layer.0.attention.self.query";
  const fs::path base = base_of("plain");
  const test::RawTensor some = test::float_tensor({4, 32}, std::vector<float>(128));
  EXPECT_THAT(
      refused(base, with("a", [&](auto& t) { t["base_model.model.bert.nothing.weight"] = some; }),
              ErrorCode::format),
      AllOf(HasSubstr("changes \"bert.nothing.weight\", which the model"), HasSubstr("./bert_multilabel")));
  EXPECT_THAT(
      refused(base, with("b", [&](auto& t) { t[query + ".lora_C.weight"] = some; }), ErrorCode::unsupported),
      AllOf(HasSubstr("lora_C.weight"), HasSubstr("of a kind that this version does not merge")));
  EXPECT_THAT(
      refused(base, with("c", [&](auto& t) { t.erase(query + ".lora_A.weight"); }), ErrorCode::format),
      HasSubstr("self.query\" has one of the matrices A and B alone"));
  EXPECT_THAT(
      refused(base,
              with("d",
                   [&](auto& t) {
                     t[query + ".lora_A.weight"].shape = {32, 4};
                   }),
              ErrorCode::format),
      HasSubstr(
          "is [32, 4], which fits no \"bert.encoder.layer.0.attention.self.query\" of the shape [32, 32]"));
  EXPECT_THAT(refused(base, with("e", [&](auto& t) { t[query + ".lora_magnitude_vector"] = some; }),
                      ErrorCode::format),
              HasSubstr("magnitudes of DoRA, but \"use_dora\" is false"));
  EXPECT_THAT(
      refused(base, with("f", [&](auto& t) { t["base_model.model.bert.pooler.dense.weight"] = some; }),
              ErrorCode::unsupported),
      HasSubstr("is [4, 32], the model's [32, 32]"));
  EXPECT_THAT(
      refused(
          base,
          with("g",
               [&](auto& t) {
                 t[query + ".lora_A.weight"] = test::float_tensor({4, 32}, std::vector<float>(128, INFINITY));
               }),
          ErrorCode::numeric),
      HasSubstr("has NaN or infinity"));
  EXPECT_THAT(refused(base, copy("plain", [](json& config) { config["r"] = 8; }), ErrorCode::format),
              HasSubstr("the rank 8, but its matrices have 4"));
}

TEST_F(Adapters, NeedTheModelTheyWereTrainedOn) {
  load(base_of("plain"),
       {copy("plain", [](json& c) { c["base_model_name_or_path"] = "org/another-model"; })});
  EXPECT_THAT(heard_.sentences, Contains(HasSubstr("the adapter was trained on \"org/another-model\"")));
  EXPECT_THAT(refused(tiny("distilbert"), kGolden / "plain", ErrorCode::format), HasSubstr("does not have"));
}

TEST_F(Adapters, AreMergedIntoFloatsOnly) {
  convert({.model = base_of("plain"), .output = folder_ / "bert_multilabel", .scheme = kAffine8});
  EXPECT_THAT(refused(folder_ / "bert_multilabel", kGolden / "plain", ErrorCode::unsupported),
              AllOf(HasSubstr("is stored quantized"), HasSubstr("--adapter")));
}

TEST_F(Adapters, AloneAreNoModel) {
  EXPECT_THAT(error_text([] { load_model(kGolden / "plain", {}); }, ErrorCode::unsupported),
              AllOf(HasSubstr("holds an adapter (adapter_config.json), not a model; give its base model, "
                              "\"./bert_multilabel\", and --adapter ")));
  EXPECT_THAT(refused(kGolden / "plain", kGolden / "plain", ErrorCode::unsupported),
              HasSubstr("not a model"));
  EXPECT_THAT(refused(tiny("bert"), tiny("bert"), ErrorCode::not_found), HasSubstr("no adapter_config.json"));
  const fs::path empty = copy("plain");
  fs::remove(empty / "adapter_model.safetensors");
  EXPECT_THAT(refused(tiny("bert"), empty, ErrorCode::not_found), HasSubstr("no tensors of an adapter"));
}

TEST_F(Adapters, BringAHeadOfTheirOwn) {
  LoadedModel loaded = load(tiny("bert"), {kGolden / "new_head"});
  EXPECT_THAT(loaded.model.labels, ElementsAre("LABEL_0", "LABEL_1", "LABEL_2"));
  EXPECT_THAT(heard_.sentences, Contains(HasSubstr("brings a head of its own for \"SEQ_CLS\"")));
  convert({.model = adapted_model(tiny("bert"), std::vector{kGolden / "new_head"}),
           .output = folder_ / "out",
           .scheme = kFloat32});
  EXPECT_EQ(read_json(folder_ / "out/config.json")["architectures"],
            json::array({"BertForSequenceClassification"}));
  EXPECT_LE(from_peft(load_model(folder_ / "out", {}), "new_head").outputs, kOutputTolerance);
}

// ---- conversions

TEST_F(Adapters, AreRecordedByAConversion) {
  const fs::path adapter = copy("plain");
  ConvertOptions options{.model = adapted_model(base_of("plain"), std::vector{adapter}),
                         .output = folder_ / "out",
                         .scheme = kAffine8,
                         .warning = heard_.warning()};
  EXPECT_FALSE(convert(options).skipped);
  EXPECT_THAT(heard_.sentences, IsEmpty());
  const std::optional<Provenance> record = Provenance::read(folder_ / "out");
  ASSERT_TRUE(record);
  for (const char* file : {"adapter_config.json", "adapter_model.safetensors"})
    EXPECT_TRUE(record->source.contains(std::string("mlx_encoder_adapter_1/") + file)) << file;
  EXPECT_THAT(test::names_in(folder_ / "out"), Not(Contains(HasSubstr("adapter"))));
  EXPECT_THAT(test::read_file(folder_ / "out/README.md"), HasSubstr("bert_multilabel"));
  EXPECT_TRUE(convert(options).skipped);
  test::RawTensors tensors = test::read_tensors(adapter / "adapter_model.safetensors");
  tensors.begin()->second.data[0] ^= std::byte{1};
  fs::remove(adapter / "adapter_model.safetensors");
  test::write_tensors(adapter / "adapter_model.safetensors", tensors);
  EXPECT_THAT(error_text([&] { convert(options); }, ErrorCode::usage),
              HasSubstr("of a model that has changed since"));
  options.model = base_of("plain");
  EXPECT_THAT(error_text([&] { convert(options); }, ErrorCode::usage), HasSubstr("has changed since"));
}

TEST_F(Adapters, ConvertAsTheMergedModel) {
  const fs::path adapted = adapted_model(base_of("plain"), std::vector{kGolden / "plain"});
  const fs::path merged =
      test::changed_copy(base_of("plain"), folder_ / "merged", [&](test::RawTensors& tensors) {
        const LoadedModel loaded = load_model(adapted, {});
        for (auto& [name, tensor] : tensors) {
          const CheckpointTensor* found = tensor_of(loaded.checkpoint, name);
          if (found && found->view.dtype == Dtype::f32)
            tensor = test::float_tensor(tensor.shape, to_floats(found->view));
        }
      });
  for (const bool calibrated : {false, true}) {
    std::vector<std::string> weights;
    for (const fs::path& model : {adapted, merged}) {
      ConvertOptions options{
          .model = model, .output = folder_ / "out", .scheme = kAffine8, .if_done = IfDone::rewrite};
      options.scheme.bits = calibrated ? 4 : 8;
      if (calibrated) options.calibration = Calibration{.texts = {{"The cat sat on the warm piano.", {}}}};
      convert(options);
      weights.push_back(test::read_file(folder_ / "out/model.safetensors"));
    }
    EXPECT_EQ(weights[0], weights[1]) << calibrated;
  }
}

// ---- damage

TEST_F(Adapters, DamagedFilesGiveAModelOrASentence) {
  std::mt19937 random(11);
  for (const char* file : {"adapter_config.json", "adapter_model.safetensors"})
    for (int i = 0; i < 150; ++i) {
      const fs::path adapter = folder_ / fmt::format("{}{}", file, i);
      fs::copy(kGolden / "dora_embeddings", adapter);
      std::string text = test::read_file(adapter / file);
      // Mostly the header of the tensors.
      for (unsigned changes = 1 + random() % 4; changes > 0; --changes)
        text[random() % std::min<size_t>(text.size(), 1500)] = static_cast<char>(random());
      fs::remove(adapter / file);
      test::write_file(adapter / file, text);
      try {
        load(base_of("dora_embeddings"), {adapter});
      } catch (const Error& error) {
        EXPECT_NE(error.code(), ErrorCode::internal) << error.what();
        EXPECT_LT(std::string_view(error.what()).size(), 4096u);
      }
    }
}

}  // namespace
}  // namespace mlxe::adapter_test
