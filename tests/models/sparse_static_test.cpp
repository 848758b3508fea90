// A SparseEncoder whose queries are looked up in a table of weights, beside sentence-transformers
// (tools/make_sparse_static_golden.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "golden.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/encoder.h"
#include "mlx_encoder/verify.h"
#include "model_folders.h"

namespace mlxe::sparse_static_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::error_text;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const fs::path kModel = fs::path(MLXE_TEST_DATA) / "sparse_static";
const char* const kQueryFolder = "query_0_SparseStaticEmbedding";
const std::pair<EmbedTask, const char*> kTasks[] = {
    {EmbedTask::query, "query"}, {EmbedTask::document, "document"}, {EmbedTask::any, "none"}};

Encoder load(const fs::path& folder, const Warning& warning = {}) {
  return Encoder::load(folder, {.engine = EngineKind::cpu,
                                .activations = Activations::float32,
                                .threads = 1,
                                .embeds = false,
                                .warning = warning});
}

std::vector<std::string> texts() {
  auto all = read_json(test::kTinyFolders / "texts.json")["texts"].get<std::vector<std::string>>();
  all.emplace_back("the cat, the Cat and THE cat");
  return all;
}

// All columns of all rows.
std::vector<float> dense(const SparseVectors& vectors) {
  std::vector<float> values(static_cast<size_t>(vectors.rows * vectors.columns));
  for (int64_t i = 0; i < vectors.rows; ++i)
    for (size_t k = 0; k < vectors.row_indices(i).size(); ++k)
      values[static_cast<size_t>(i * vectors.columns + vectors.row_indices(i)[k])] = vectors.row_values(i)[k];
  return values;
}

// As a part of the largest weight, from sentence-transformers' vectors of the task.
double from_original(const Encoder& encoder, EmbedTask task, const char* name) {
  const SafetensorsFile expected(kModel / "vectors.safetensors");
  return test::relative_error(dense(encoder.embed_sparse(texts(), {.task = task})),
                              to_floats(*expected.find(name)));
}

class SparseStatic : public ::testing::Test {
 protected:
  test::TemporaryFolder folder_;
  test::Heard heard_;

  fs::path copy() {
    const fs::path at = folder_ / "copy";
    fs::remove_all(at);
    fs::copy(kModel, at, fs::copy_options::recursive);
    return at;
  }
  static void change_json(const fs::path& file, const std::function<void(json&)>& change) {
    json object = read_json(file);
    change(object);
    test::write_file(file, object.dump());
  }
  static void change_weights(const fs::path& folder, const std::function<void(test::RawTensors&)>& change) {
    const fs::path file = folder / kQueryFolder / "model.safetensors";
    test::RawTensors tensors = test::read_tensors(file);
    change(tensors);
    fs::remove(file);
    test::write_tensors(file, tensors);
  }
  std::string refused(const fs::path& folder, ErrorCode code) {
    return error_text([&] { load(folder, heard_.warning()); }, code);
  }
};

TEST_F(SparseStatic, EqualsSparseEncoder) {
  const Encoder encoder = load(kModel, heard_.warning());
  EXPECT_THAT(heard_.sentences, IsEmpty());
  for (const auto& [task, name] : kTasks)
    EXPECT_LE(from_original(encoder, task, name), test::kParityTolerance) << name;
  // A table holds what the file holds.
  EXPECT_EQ(from_original(encoder, EmbedTask::query, "query"), 0);
}

// The twin: one weight, 2 % larger.
TEST_F(SparseStatic, ShowsAChangedWeight) {
  const fs::path folder = copy();
  change_weights(folder, [](test::RawTensors& tensors) {
    std::vector<float> weights = test::floats(tensors.at("weight"));
    for (float& w : weights) w *= 1.02f;
    tensors.at("weight") = test::float_tensor({std::ssize(weights)}, weights);
  });
  EXPECT_GT(from_original(load(folder), EmbedTask::query, "query"), 100 * test::kParityTolerance);
}

// A query longer than its tokenizer allows is cut there, which is said; the documents' limit is another.
TEST_F(SparseStatic, CutsALongQuery) {
  CallReport report;
  load(kModel).embed_sparse(texts(), {.task = EmbedTask::query, .report = &report});
  EXPECT_THAT(report.warnings, ElementsAre(HasSubstr("text 4: truncated to 30 tokens, 2 dropped"),
                                           HasSubstr("text 7: truncated to 30 tokens, 35 dropped")));
  EXPECT_EQ(report.truncated.size(), 2u);
}

// Or where the caller says.
TEST_F(SparseStatic, CutsAQueryWhereItsCallerSays) {
  const EncoderOptions options{.engine = EngineKind::cpu, .threads = 1, .max_length = 3, .embeds = false};
  const SparseVectors cut = Encoder::load(kModel, options).embed_sparse(texts(), {.task = EmbedTask::query});
  for (int64_t i = 0; i < cut.rows; ++i) EXPECT_LE(cut.row_indices(i).size(), 3u);
}

TEST_F(SparseStatic, KeepsTheLargestWeights) {
  const Encoder encoder = load(kModel);
  const SparseVectors all = encoder.embed_sparse(texts(), {.task = EmbedTask::query}),
                      few = encoder.embed_sparse(texts(), {.task = EmbedTask::query, .top_k = 2});
  for (int64_t i = 0; i < all.rows; ++i) {
    std::vector<float> largest(all.row_values(i).begin(), all.row_values(i).end()),
        kept(few.row_values(i).begin(), few.row_values(i).end());
    std::ranges::sort(largest, std::greater());
    std::ranges::sort(kept, std::greater());
    largest.resize(std::min<size_t>(largest.size(), 2));
    EXPECT_EQ(kept, largest);
  }
}

// As published folders have it: the transformer's files are in the folder itself, which the Router calls "".
TEST_F(SparseStatic, ReadsATransformerInTheFolderItself) {
  const fs::path folder = copy();
  for (const auto& entry : fs::directory_iterator(folder / "document_0_Transformer"))
    fs::rename(entry.path(), folder / entry.path().filename());
  fs::remove(folder / "document_0_Transformer");
  change_json(folder / "router_config.json", [](json& router) {
    router["types"][""] = router["types"]["document_0_Transformer"];
    router["types"].erase("document_0_Transformer");
    router["structure"]["document"][0] = "";
  });
  const Encoder encoder = load(folder, heard_.warning());
  EXPECT_THAT(heard_.sentences, IsEmpty());
  for (const auto& [task, name] : kTasks)
    EXPECT_LE(from_original(encoder, task, name), test::kParityTolerance) << name;
}

TEST_F(SparseStatic, IsConverted) {
  const fs::path floats = folder_ / "floats", eight = folder_ / "eight";
  convert({.model = kModel, .output = floats, .scheme = {.mode = Mode::none, .dtype = Dtype::f32}});
  for (const auto& [task, name] : kTasks)
    EXPECT_LE(from_original(load(floats), task, name), test::kParityTolerance) << name;
  convert({.model = kModel,
           .output = eight,
           .scheme = {.mode = Mode::affine, .bits = 8, .group_size = 32, .dtype = Dtype::f16}});
  load(eight, heard_.warning());
  EXPECT_THAT(heard_.sentences, IsEmpty());
  EXPECT_EQ(from_original(load(eight), EmbedTask::query, "query"), 0);
  // 8 bits: codes within 1/510 of a group's range; half of that range is about the largest weight of a document.
  EXPECT_LE(from_original(load(eight), EmbedTask::document, "document"), 0.05);
  const VerifyReport checked = verify(eight);
  EXPECT_EQ(checked.verdict, Verdict::passed);
  EXPECT_THAT(checked.settings, Contains(Field(&SettingInForce::value, "queries")));
  EXPECT_EQ(read_json(floats / "router_config.json")["structure"]["document"][0], "");
  EXPECT_THAT(
      error_text(
          [&] { convert({.model = kModel, .output = folder_ / "x", .layout = Layout::mlx_embeddings}); },
          ErrorCode::unsupported),
      HasSubstr("use --layout hf"));
}

TEST_F(SparseStatic, RefusesWhatDoesNotFit) {
  fs::path folder = copy();
  change_weights(folder, [](test::RawTensors& t) { t["weight"] = test::float_tensor({2}, {1, 2}); });
  EXPECT_THAT(refused(folder, ErrorCode::format),
              HasSubstr("has 2 weights, expected one for each of the model's"));
  folder = copy();
  change_weights(folder, [](test::RawTensors& t) { t["other"] = t["weight"]; });
  EXPECT_THAT(refused(folder, ErrorCode::format), HasSubstr("has 2 tensors, expected one, \"weight\""));
  folder = copy();
  change_weights(folder, [](test::RawTensors& tensors) {
    std::vector<float> weights = test::floats(tensors.at("weight"));
    weights[3] = -1;
    tensors.at("weight") = test::float_tensor({std::ssize(weights)}, weights);
  });
  EXPECT_THAT(refused(folder, ErrorCode::format),
              HasSubstr("a weight is -1, expected a finite one that is not below 0"));
  folder = copy();
  fs::remove(folder / kQueryFolder / "model.safetensors");
  EXPECT_THAT(refused(folder, ErrorCode::not_found), HasSubstr("needs its weights"));
  folder = copy();
  change_json(folder / kQueryFolder / "tokenizer.json", [](json& t) { t["normalizer"] = nullptr; });
  EXPECT_THAT(refused(folder, ErrorCode::unsupported), HasSubstr("a tokenizer of its own in a route"));
  folder = copy();
  change_json(folder / kQueryFolder / "tokenizer_config.json",
              [](json& t) { t["truncation_side"] = "left"; });
  EXPECT_THAT(refused(folder, ErrorCode::unsupported), HasSubstr("a tokenizer of its own in a route"));
  folder = copy();
  change_json(folder / "document_0_Transformer/sentence_bert_config.json",
              [](json& t) { t["do_lower_case"] = true; });
  EXPECT_THAT(refused(folder, ErrorCode::unsupported), HasSubstr("whose texts keep their case"));
  folder = copy();
  change_weights(folder, [](test::RawTensors& tensors) {
    std::vector<float> weights = test::floats(tensors.at("weight"));
    weights[3] = NAN;
    tensors.at("weight") = test::float_tensor({std::ssize(weights)}, weights);
  });
  EXPECT_THAT(refused(folder, ErrorCode::numeric), HasSubstr("a weight is nan"));
  folder = copy();
  change_json(folder / kQueryFolder / "config.json", [](json& config) { config["path"] = "idf.json"; });
  EXPECT_THAT(refused(folder, ErrorCode::unsupported), HasSubstr("\"path\" is not honoured"));
  // Without a route for queries, and without a default.
  folder = copy();
  change_json(folder / "router_config.json", [](json& router) {
    router["structure"] = {{"passage", router["structure"]["document"]},
                           {"lookup", router["structure"]["query"]}};
    router["parameters"] = {{"allow_empty_key", false}};
  });
  const Encoder encoder = load(folder);
  EXPECT_THAT(
      error_text([&] { encoder.embed_sparse(texts(), {.task = EmbedTask::query}); }, ErrorCode::usage),
      HasSubstr("has no route for a query"));
  // Another module in a route.
  folder = copy();
  change_json(folder / "router_config.json", [](json& router) {
    router["types"][kQueryFolder] = "sentence_transformers.sparse_encoder.modules.SparseAutoEncoder";
  });
  convert({.model = folder, .output = folder_ / "other"});  // the rest is a masked language model
  load_model(folder_ / "other", heard_.warning(), ExpectVectors::no);
  EXPECT_THAT(heard_.sentences,
              Contains(HasSubstr("a SparseEncoder of \"SparseAutoEncoder\" is not implemented")));
}

}  // namespace
}  // namespace mlxe::sparse_static_test
