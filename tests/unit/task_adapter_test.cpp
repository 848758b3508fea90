// Changes for tasks in a model's own file: goldens of torch and sentence-transformers (tools/jina_v3.py), what is
// refused, and conversions.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "format/adapted_folder.h"
#include "format/linked_folders.h"
#include "format/task_adapters.h"
#include "mlx_encoder/adapter.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/encoder.h"
#include "model_folders.h"
#include "verify/settings.h"

namespace mlxe::task_adapter_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::error_text;
using test::tiny;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const fs::path kModel = tiny("st_jina_v3");
const std::vector<std::string> kTaskNames{"retrieval.query", "retrieval.passage", "text-matching"};
constexpr Scheme kPlainFloats{.mode = Mode::none, .dtype = Dtype::f32};

// As a part of the largest value: two products in float32, scaled, added and rounded, (2 + 3) * 2^-24 = 3e-7.
constexpr double kMerged = 5e-7;
// As golden.h's kParityTolerance.
constexpr double kVectors = 1e-5;

std::vector<std::string> texts() {
  return read_json(tiny("texts.json"))["texts"].get<std::vector<std::string>>();
}

std::vector<float> vectors_of(const fs::path& folder, const EmbedOptions& options = {}) {
  const Encoder encoder =
      Encoder::load(folder, {.engine = EngineKind::cpu, .activations = Activations::float32, .threads = 1});
  return encoder.embed(texts(), options).values;
}

class TaskAdapterFolder : public ::testing::Test {
 protected:
  test::TemporaryFolder folder_;
  test::Heard heard_;

  // A copy of the model whose config.json and tensors are changed.
  fs::path changed(const std::function<void(json&)>& config,
                   const std::function<void(test::RawTensors&)>& tensors = {}) {
    const fs::path copy = folder_ / "changed";
    fs::remove_all(copy);
    test::changed_copy(
        kModel, copy, tensors ? tensors : [](test::RawTensors&) {});
    json object = read_json(copy / "config.json");
    if (config) config(object);
    test::write_file(copy / "config.json", object.dump());
    return copy;
  }
  std::string refused(const fs::path& model, ErrorCode code) {
    return error_text([&] { load_model(model, heard_.warning()); }, code);
  }
};

TEST_F(TaskAdapterFolder, HasTheTasksWeightsOfTorch) {
  const SafetensorsFile expected(kModel / "tasks.safetensors");
  const std::pair<const char*, const char*> tensors[] = {
      {"Wqkv", "encoder.layers.0.mixer.Wqkv.weight"},
      {"word", "embeddings.word_embeddings.weight"},
      {"token_type", "embeddings.token_type_embeddings.weight"}};
  for (const std::string& task : kTaskNames) {
    const LoadedModel loaded = load_model(task_model(kModel, task), heard_.warning());
    for (const auto& [name, in_model] : tensors)
      EXPECT_LE(test::relative_error(to_floats(loaded.checkpoint.find(in_model)->view),
                                     to_floats(*expected.find(fmt::format("{}.{}", task, name)))),
                kMerged)
          << task << " " << name;
  }
  EXPECT_THAT(heard_.sentences, IsEmpty());
}

// The vectors of sentence-transformers with the task's weights and prompt.
TEST_F(TaskAdapterFolder, GivesTheTasksVectors) {
  const SafetensorsFile expected(kModel / "tasks.safetensors");
  for (const std::string& task : kTaskNames)
    EXPECT_LE(test::relative_error(vectors_of(task_model(kModel, task)), to_floats(*expected.find(task))),
              kVectors)
        << task;
}

// The twins: another task, no task, the task without its prompt, and one matrix that is 2 % larger.
TEST_F(TaskAdapterFolder, ShowsAnotherTaskPromptOrMatrix) {
  const SafetensorsFile expected(kModel / "tasks.safetensors");
  const std::vector<float> query = to_floats(*expected.find(kTaskNames[0]));
  const auto from_query = [&](const fs::path& model, const EmbedOptions& options = {}) {
    return test::relative_error(vectors_of(model, options), query);
  };
  EXPECT_GT(from_query(task_model(kModel, kTaskNames[1])), 100 * kVectors);
  EXPECT_GT(from_query(kModel, {.prompt = "take the query: "}), 100 * kVectors);
  EXPECT_GT(from_query(task_model(kModel, kTaskNames[0]), {.prompt = ""}), 100 * kVectors);
  const fs::path damaged = changed({}, [](test::RawTensors& tensors) {
    test::RawTensor& b = tensors.at("roberta.encoder.layers.1.mlp.fc2.parametrizations.weight.0.lora_B");
    std::vector<float> values = test::floats(b);
    for (float& v : values) v *= 1.02f;
    b = test::float_tensor(b.shape, values);
  });
  EXPECT_GT(from_query(task_model(damaged, kTaskNames[0])), kVectors);
}

TEST_F(TaskAdapterFolder, AModelWithoutATaskIsAWarning) {
  load_model(kModel, heard_.warning());
  EXPECT_THAT(
      heard_.sentences,
      Contains(HasSubstr(
          "has changes of its weights for tasks, and none is applied; choose one (--task, in evaluate "
          "--model-task): \"retrieval.query\", \"retrieval.passage\", \"text-matching\"")));
}

TEST_F(TaskAdapterFolder, IsConvertedForItsTask) {
  const fs::path query = folder_ / "query", plain = folder_ / "plain";
  convert({.model = task_model(kModel, kTaskNames[0]), .output = query, .scheme = kPlainFloats});
  EXPECT_EQ(vectors_of(query), vectors_of(task_model(kModel, kTaskNames[0])));
  EXPECT_EQ(read_json(query / "config.json")["default_task"], kTaskNames[0]);
  EXPECT_EQ(task_model(query, kTaskNames[0]), query);
  EXPECT_THAT(
      error_text([&] { task_model(query, kTaskNames[1]); }, ErrorCode::usage),
      HasSubstr("was converted for the task \"retrieval.query\"; convert the original for another one"));
  const std::vector<SettingInForce> settings =
      settings_in_force(load_model(query, heard_.warning()), nullptr);
  EXPECT_THAT(heard_.sentences, IsEmpty());
  EXPECT_EQ(by_name(settings).at("task of the weights"), "\"retrieval.query\"");
  convert({.model = kModel, .output = plain, .scheme = kPlainFloats});
  EXPECT_EQ(vectors_of(plain), vectors_of(kModel));
  EXPECT_THAT(error_text([&] { task_model(plain, kTaskNames[0]); }, ErrorCode::usage),
              HasSubstr("has no changes for tasks"));
}

// As the published code: a folder may choose a task itself, and then keeps its prompts as they are.
TEST_F(TaskAdapterFolder, MayChooseATaskItself) {
  const fs::path chosen = changed([](json& config) { config["default_task"] = kTaskNames[0]; });
  EXPECT_EQ(vectors_of(chosen), vectors_of(task_model(kModel, kTaskNames[0]), {.prompt = ""}));
  // Chosen by the caller too, it has its prompt.
  EXPECT_EQ(vectors_of(task_model(chosen, kTaskNames[0])), vectors_of(task_model(kModel, kTaskNames[0])));
}

// Without prompts of sentence-transformers, those of config.json count.
TEST_F(TaskAdapterFolder, TakesThePromptOfConfigJson) {
  const fs::path copy = changed({});
  fs::remove(copy / "config_sentence_transformers.json");
  EXPECT_EQ(vectors_of(task_model(copy, kTaskNames[0])), vectors_of(task_model(kModel, kTaskNames[0])));
}

TEST_F(TaskAdapterFolder, TakesThePromptOfConfigJsonWhereTheSettingsLackIt) {
  const fs::path copy = changed({}), settings = copy / "config_sentence_transformers.json";
  for (const json& prompts : {json::object(), json(nullptr), json{{"other", "x: "}}}) {
    test::write_file(settings, json{{"prompts", prompts}}.dump());
    const fs::path fresh = folder_ / fmt::format("copy{}", prompts.dump().size());
    fs::copy(copy, fresh, fs::copy_options::recursive);
    EXPECT_EQ(vectors_of(task_model(fresh, kTaskNames[0])), vectors_of(task_model(kModel, kTaskNames[0])));
  }
  // No prompt at all: not that of another task.
  const fs::path without = changed([](json& config) { config.erase("task_instructions"); });
  test::write_file(
      without / "config_sentence_transformers.json",
      R"({"prompts": {"retrieval.passage": "p: "}, "default_prompt_name": "retrieval.passage"})");
  EXPECT_EQ(vectors_of(task_model(without, kTaskNames[0])),
            vectors_of(task_model(kModel, kTaskNames[0]), {.prompt = ""}));
}

// A task and an adapter: messages and records name what the user gave, whichever temporary folder is made first.
TEST_F(TaskAdapterFolder, IsShownAsTheModelAlsoBehindAnAdapter) {
  const fs::path adapter = folder_ / "adapter";
  fs::create_directory(adapter);
  test::write_file(adapter / "adapter_config.json",
                   R"({"peft_type": "LORA", "r": 1, "base_model_name_or_path": "a/st_jina_v3"})");
  test::write_tensors(adapter / "adapter_model.safetensors",
                      {{"base_model.model.encoder.layers.0.mixer.out_proj.lora_A.weight",
                        test::float_tensor({1, 32}, std::vector<float>(32, 0.01f))},
                       {"base_model.model.encoder.layers.0.mixer.out_proj.lora_B.weight",
                        test::float_tensor({32, 1}, std::vector<float>(32, 0.01f))}});
  for (int i = 0; i < 8; ++i) {  // the names of the folders are random
    const fs::path copy = folder_ / fmt::format("{}/st_jina_v3", i);
    fs::create_directories(copy.parent_path());
    fs::copy(kModel, copy, fs::copy_options::recursive);
    const fs::path both = adapted_model(task_model(copy, kTaskNames[0]), std::vector{adapter});
    EXPECT_EQ(with_shown_paths(both.string() + ": "), copy.string() + ": ");
    EXPECT_EQ(base_folder(both), copy);
    load_model(both, heard_.warning());
    EXPECT_THAT(heard_.sentences, IsEmpty());
  }
}

TEST_F(TaskAdapterFolder, RefusesWhatDoesNotFit) {
  EXPECT_THAT(error_text([&] { task_model(kModel, "retrieval"); }, ErrorCode::usage),
              HasSubstr("no task \"retrieval\"; it has \"retrieval.query\", \"retrieval.passage\""));
  EXPECT_THAT(error_text([&] { task_model(tiny("bert"), "retrieval.query"); }, ErrorCode::usage),
              HasSubstr("has no changes for tasks"));
  error_text([&] { task_model(folder_ / "absent", "x"); }, ErrorCode::not_found);
  const auto with_task = [](json& config) { config["default_task"] = "text-matching"; };
  const std::string a = "roberta.encoder.layers.0.mixer.Wqkv.parametrizations.weight.0.lora_A",
                    b = "roberta.encoder.layers.0.mixer.Wqkv.parametrizations.weight.0.lora_B";
  EXPECT_THAT(refused(changed(with_task, [&](test::RawTensors& t) { t.erase(b); }), ErrorCode::format),
              HasSubstr("has a change that is no matrix"));
  EXPECT_THAT(refused(changed(with_task,
                              [&](test::RawTensors& t) {
                                t.at(a).shape = {6, 1, 32};
                              }),
                      ErrorCode::format),
              HasSubstr("is F32 [6, 1, 32], expected floats of three dimensions, the first one of 3 tasks"));
  EXPECT_THAT(refused(changed(with_task,
                              [&](test::RawTensors& t) {
                                t.at(a).shape = {3, 4, 16};
                              }),
                      ErrorCode::format),
              HasSubstr("which fits no"));
  EXPECT_THAT(refused(changed([&](json& config) {
                        with_task(config);
                        config["lora_rank"] = 3;
                      }),
                      ErrorCode::format),
              HasSubstr("the rank 3, but its matrices have 2"));
  EXPECT_THAT(refused(changed([](json& config) { config["default_task"] = "other"; }), ErrorCode::format),
              HasSubstr("\"default_task\" is \"other\", expected one of"));
  EXPECT_THAT(refused(changed([&](json& config) {
                        with_task(config);
                        config.erase("lora_alpha");
                      }),
                      ErrorCode::format),
              HasSubstr("lora_alpha"));
  const fs::path without = changed(with_task, [](test::RawTensors& tensors) {
    std::erase_if(tensors, [](const auto& t) { return t.first.find(".lora_") != std::string::npos; });
  });
  EXPECT_THAT(refused(without, ErrorCode::format), HasSubstr("the weights have no changes for tasks"));
}

}  // namespace
}  // namespace mlxe::task_adapter_test
