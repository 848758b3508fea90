// Routers with an encoder in each route, beside sentence-transformers (tests/data/encoder_routers, made by
// tools/make_encoder_router_goldens.py).
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "format/encoder_routes.h"
#include "golden.h"
#include "mlx_encoder/adapter.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/encoder.h"
#include "mlx_encoder/inspect.h"
#include "mlx_encoder/verify.h"
#include "model_folders.h"
#include "route_goldens.h"

namespace mlxe::encoder_router_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::error_text;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const fs::path kRouters = fs::path(MLXE_TEST_DATA) / "encoder_routers";
const test::RouteGoldens& goldens() {
  static const test::RouteGoldens all(kRouters);
  return all;
}

std::vector<float> golden(const std::string& name) {
  return to_floats(goldens().vectors(name));
}

// All columns of all rows.
std::vector<float> values(const Encoder& encoder, bool sparse, EmbedTask task) {
  if (!sparse) return encoder.embed(goldens().texts, {.task = task}).values;
  const SparseVectors v = encoder.embed_sparse(goldens().texts, {.task = task});
  std::vector<float> all(static_cast<size_t>(v.rows * v.columns));
  for (int64_t i = 0; i < v.rows; ++i)
    for (size_t k = 0; k < v.row_indices(i).size(); ++k)
      all[static_cast<size_t>(i * v.columns + v.row_indices(i)[k])] = v.row_values(i)[k];
  return all;
}

class EncoderRouter : public ::testing::Test {
 protected:
  test::TemporaryFolder parent_;
  test::Heard heard_;

  fs::path copy(const std::string& name) {
    const fs::path at = parent_ / "copy";
    fs::remove_all(at);
    fs::copy(kRouters / name, at, fs::copy_options::recursive);
    return at;
  }
  static void change_json(const fs::path& file, const std::function<void(json&)>& change) {
    json object = read_json(file);
    change(object);
    test::write_file(file, object.dump());
  }
  Encoder load(const fs::path& folder, EngineKind engine = EngineKind::cpu) {
    return Encoder::load(
        folder,
        {.engine = engine, .activations = Activations::float32, .threads = 2, .warning = heard_.warning()});
  }
};

TEST_F(EncoderRouter, RoutesAreThoseOfSentenceTransformers) {
  for (const std::string engine : {"cpu", "mlx"}) {
    std::string why_not;
    if (!test::make_engine(engine, why_not)) continue;
    for (const auto& [name, methods] : goldens().cases.at("folders").items()) {
      heard_.sentences.clear();
      const Encoder encoder = load(kRouters / name, parse_engine(engine));
      if (engine == "cpu") {  // the other one says where it runs
        EXPECT_EQ(heard_.sentences.size(), name == "mapped" ? 1u : 0u) << name;  // widths that differ
      }
      for (const auto& [method, task] : test::kRouteMethods) {
        const json& expected = methods.at(method);
        if (expected.is_null()) {
          EXPECT_THAT(error_text([&] { encoder.embed(goldens().texts); }, ErrorCode::usage),
                      HasSubstr("no route for a text without a task; it has \"first\", \"second\""));
          continue;
        }
        EXPECT_LE(test::relative_error(values(encoder, name == "sparse", task), golden(expected)),
                  test::kParityTolerance)
            << engine << ' ' << name << ' ' << method;
      }
    }
  }
}

// The twin: the other route's vectors are far away.
TEST_F(EncoderRouter, SwappedRoutesAreSeen) {
  for (const char* name : {"two", "static", "sparse"}) {
    const fs::path folder = copy(name);
    change_json(folder / "router_config.json", [](json& router) {
      std::swap(router["structure"]["query"], router["structure"]["document"]);
    });
    EXPECT_GT(test::relative_error(values(load(folder), std::string(name) == "sparse", EmbedTask::query),
                                   golden(std::string(name) + ".encode_query")),
              1000 * test::kParityTolerance)
        << name;
  }
}

TEST_F(EncoderRouter, IsKnownBySettingsAndWarnings) {
  const Encoder encoder = load(kRouters / "two");
  EXPECT_THAT(encoder.info().routes, ElementsAre("query", "document"));
  EXPECT_EQ(encoder.info().model_type, "roberta");  // of the default route
  EXPECT_EQ(encoder.info().max_tokens, 30);
  EXPECT_EQ(encoder.dimension({.task = EmbedTask::query}), 32);
  EXPECT_THAT(heard_.sentences, IsEmpty());
  // A prompt beside a task takes the place of the task's.
  EmbedOptions literal{.task = EmbedTask::query}, named{.prompt_name = "other", .task = EmbedTask::query};
  literal.prompt = "left ";
  const std::vector<float> other = encoder.embed(goldens().texts, named).values;
  EXPECT_EQ(encoder.embed(goldens().texts, literal).values, other);
  EXPECT_NE(encoder.embed(goldens().texts, {.task = EmbedTask::query}).values, other);
  // Each route has its own length: a query is cut at 12 tokens, a document at 30.
  CallReport of_queries, of_documents;
  encoder.embed(goldens().texts, {.task = EmbedTask::query, .report = &of_queries});
  encoder.embed(goldens().texts, {.task = EmbedTask::document, .report = &of_documents});
  EXPECT_GT(of_queries.truncated.size(), of_documents.truncated.size());
  EXPECT_THAT(of_queries.warnings, Contains(HasSubstr("truncated to 12 tokens")));
  EXPECT_THAT(of_documents.warnings, Contains(HasSubstr("truncated to 30 tokens")));
  const Encoder mapped = load(kRouters / "mapped");
  EXPECT_THAT(heard_.sentences, Contains(HasSubstr("its routes have different widths (8, 32)")));
  EXPECT_EQ(mapped.dimension({.task = EmbedTask::query}), 8);
  EXPECT_EQ(mapped.dimension({.task = EmbedTask::document}), 32);
}

TEST_F(EncoderRouter, AFingerprintIsOfTheRoutesAndTheirTasks) {
  const std::string before = load(kRouters / "two").fingerprint();
  const fs::path folder = copy("two");
  EXPECT_EQ(load(folder).fingerprint(), before);
  change_json(folder / "router_config.json",
              [](json& router) { router["parameters"]["default_route"] = "query"; });
  EXPECT_NE(load(folder).fingerprint(), before);
}

TEST_F(EncoderRouter, ChunksTakeTheRoute) {
  const Encoder encoder = load(kRouters / "static");
  const std::vector<std::string> two{"The cat sat on the warm piano.", "A question"};
  const ChunkVectors chunks = encoder.embed_chunks(two, {.tokens = 20}, {.task = EmbedTask::query});
  EXPECT_EQ(chunks.vectors.values, encoder.embed(two, {.task = EmbedTask::query}).values);
}

// A table adds no special tokens, so that nothing is left of an empty text.
TEST_F(EncoderRouter, AnEmptyTextHasNoVectorInATable) {
  const Encoder encoder = load(kRouters / "asym");
  EXPECT_THAT(error_text([&] { encoder.embed({{""}}); }, ErrorCode::format),
              HasSubstr("no token to compute from"));
}

// Each route is a model of its own for commands that read one.
TEST_F(EncoderRouter, ARouteIsAModel) {
  for (const char* name : {"two", "static"}) {
    const Encoder whole = load(kRouters / name), query = load(task_model(kRouters / name, "query"));
    EXPECT_EQ(query.embed(goldens().texts, {.task = EmbedTask::query}).values,
              whole.embed(goldens().texts, {.task = EmbedTask::query}).values);
    EXPECT_THAT(query.info().routes, IsEmpty());
  }
  EXPECT_EQ(task_model(kRouters / "mapped", "query"), task_model(kRouters / "mapped", "second"));
  EXPECT_THAT(error_text([&] { task_model(kRouters / "two", "passage"); }, ErrorCode::usage),
              HasSubstr("no task \"passage\"; its Router has the routes query, document"));
  EXPECT_THAT(error_text([&] { Checkpoint::open(kRouters / "two"); }, ErrorCode::unsupported),
              HasSubstr("choose the route with --task (task_model() in the library): query, document"));
}

// Each encoder is quantized; each route has a golden; the whole has a record.
TEST_F(EncoderRouter, IsConverted) {
  const Scheme eight{.mode = Mode::affine, .bits = 8, .group_size = 32, .dtype = Dtype::f16};
  for (const auto& [name, methods] : goldens().cases.at("folders").items()) {
    const fs::path floats = parent_ / (name + "-floats"), small = parent_ / (name + "-8bit");
    convert(
        {.model = kRouters / name, .output = floats, .scheme = {.mode = Mode::none, .dtype = Dtype::f32}});
    const ConvertOptions options{.model = kRouters / name, .output = small, .scheme = eight};
    const ConversionPlan plan = plan_conversion(options);
    const Conversion done = convert(options);
    EXPECT_EQ(done.bytes, plan.predicted_bytes);
    uint64_t bytes = 0;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(small))
      if (entry.is_regular_file()) bytes += entry.file_size();
    EXPECT_EQ(bytes, plan.folder_bytes) << name;
    EXPECT_EQ(done.plan.folder_bytes, plan.folder_bytes) << name;
    EXPECT_THAT(plan.tensors, Contains(Field(&PlannedTensor::scheme, eight)));
    const bool sparse = name == "sparse";
    heard_.sentences.clear();
    const Encoder f = load(floats), q = load(small);
    EXPECT_EQ(heard_.sentences.size(), name == "mapped" ? 2u : 0u);
    for (const auto& [method, task] : test::kRouteMethods) {
      if (methods.at(method).is_null()) continue;
      const std::vector<float> expected = golden(methods.at(method));
      EXPECT_LE(test::relative_error(values(f, sparse, task), expected), test::kParityTolerance)
          << name << ' ' << method;
      // 8 bits: as in SparseStatic.IsConverted.
      EXPECT_LE(test::relative_error(values(q, sparse, task), expected), 0.05) << name << ' ' << method;
    }
    for (const fs::path& folder : {floats, small}) {
      const VerifyReport report = verify(folder);
      EXPECT_EQ(report.verdict, Verdict::passed)
          << name << ": " << fmt::format("{}", fmt::join(report.failures, "; "));
    }
    EXPECT_TRUE(convert(options).skipped);
    EXPECT_FALSE(
        convert({.model = kRouters / name, .output = small, .scheme = eight, .if_done = IfDone::rewrite})
            .skipped);
    const fs::path back = parent_ / (name + "-back");
    dequantize_model({.model = small, .output = back, .dtype = Dtype::f32});
    if (sparse) continue;
    EXPECT_LE(test::relative_error(values(load(back), sparse, EmbedTask::document),
                                   values(q, sparse, EmbedTask::document)),
              100 * test::kParityTolerance);
  }
}

TEST_F(EncoderRouter, VerifyNoticesChanges) {
  const fs::path original = parent_ / "8bit", folder = parent_ / "changed";
  convert({.model = kRouters / "static",
           .output = original,
           .scheme = {.mode = Mode::affine, .bits = 8, .group_size = 32}});
  const auto verified = [&](const std::function<void()>& change) {
    fs::remove_all(folder);
    fs::copy(original, folder, fs::copy_options::recursive);
    change();
    const VerifyReport report = verify(folder);
    EXPECT_EQ(report.verdict, report.failures.empty() ? Verdict::passed : Verdict::failed);
    return report.failures;
  };
  EXPECT_THAT(verified([] {}), IsEmpty());
  EXPECT_THAT(verified([&] {
                change_json(folder / "router_config.json", [](json& router) {
                  std::swap(router["structure"]["query"], router["structure"]["document"]);
                });
              }),
              Contains(HasSubstr("router_config.json")));
  EXPECT_THAT(verified([&] {
                change_json(folder / "document_1_Pooling/config.json", [](json& pooling) {
                  pooling["pooling_mode_cls_token"] = true;
                  pooling["pooling_mode_mean_tokens"] = false;
                });
              }),
              Contains(HasSubstr("route document: ")));
  EXPECT_THAT(verified([&] { fs::remove(folder / "query_0_StaticEmbedding/model.safetensors"); }),
              Contains(HasSubstr("route query: ")));
  EXPECT_THAT(verified([&] { fs::remove(folder / "mlx_encoder.json"); }),
              Contains(HasSubstr("mlx_encoder.json: is missing")));
  EXPECT_THAT(verified([&] { fs::remove(folder / "query_0_StaticEmbedding/mlx_encoder.json"); }),
              Contains(HasSubstr("query_0_StaticEmbedding/mlx_encoder.json")));
  EXPECT_THAT(error_text([&] { verify(folder, {.against = "x.json"}); }, ErrorCode::usage),
              HasSubstr("choose the route with --task"));
  const VerifyReport plain = verify(kRouters / "static");
  EXPECT_EQ(plain.verdict, Verdict::unproved);
  EXPECT_THAT(plain.settings, Contains(AllOf(Field(&SettingInForce::name, "route of queries"),
                                             Field(&SettingInForce::value, "query"))));
}

TEST_F(EncoderRouter, IsNotConvertedWhereItsFilesHaveNoPlace) {
  const auto refused = [&](const fs::path& folder, Layout layout) {
    return error_text([&] { convert({.model = folder, .output = parent_ / "x", .layout = layout}); },
                      ErrorCode::unsupported);
  };
  EXPECT_THAT(refused(kRouters / "two", Layout::mlx_embeddings), HasSubstr("use --layout hf"));
  const fs::path folder = copy("asym");
  change_json(folder / "0_Asym/config.json",
              [](json& router) { router["structure"]["query"] = router["structure"]["document"]; });
  EXPECT_THAT(refused(folder, Layout::hf), HasSubstr("has routes that share an encoder"));
  const Encoder shared = load(folder);
  EXPECT_EQ(shared.embed(goldens().texts, {.task = EmbedTask::query}).values,
            shared.embed(goldens().texts, {.task = EmbedTask::document}).values);
}

TEST_F(EncoderRouter, IsInspected) {
  const Inspection plain = inspect_model(kRouters / "static");
  EXPECT_EQ(plain.diagnosis, Diagnosis::plain);
  EXPECT_EQ(plain.model_type, "static_embedding, distilbert");
  EXPECT_TRUE(plain.readers.at(0).loads);
  EXPECT_FALSE(plain.readers.at(1).loads);
  EXPECT_THAT(plain.tensors,
              Contains(Field(&InspectedTensor::name, "query_0_StaticEmbedding/embedding.weight")));
  const fs::path folder = parent_ / "8bit";
  convert({.model = kRouters / "static",
           .output = folder,
           .scheme = {.mode = Mode::affine, .bits = 8, .group_size = 32}});
  const Inspection converted = inspect_model(folder);
  EXPECT_EQ(converted.diagnosis, Diagnosis::mlx);
  EXPECT_THAT(converted.changes, IsEmpty());
}

TEST_F(EncoderRouter, DamagedRoutesAreErrors) {
  fs::path folder = copy("two");
  fs::remove_all(folder / "query_0_Transformer");
  EXPECT_THAT(error_text([&] { load(folder); }, ErrorCode::not_found), HasSubstr("config.json"));
  folder = copy("static");
  fs::remove(folder / "query_0_StaticEmbedding/model.safetensors");
  EXPECT_THAT(error_text([&] { load(folder); }, ErrorCode::not_found),
              HasSubstr("the StaticEmbedding needs its weights"));
  folder = copy("two");
  change_json(folder / "router_config.json",
              [](json& router) { router["parameters"]["route_mappings"]["('query', None)"] = "queries"; });
  EXPECT_THAT(error_text([&] { load(folder); }, ErrorCode::format),
              HasSubstr("is mapped to \"queries\", which is no route"));
  folder = copy("two");
  change_json(folder / "router_config.json", [](json& router) {
    router["types"]["query_0_Transformer"] = "sentence_transformers.models.CLIPModel";
  });
  EXPECT_THAT(error_text([&] { load(folder); }, ErrorCode::unsupported),
              HasSubstr("and routes that each begin with an encoder (Transformer, StaticEmbedding)"));
  folder = copy("static");
  test::RawTensors tensors;
  tensors["other.weight"] = test::float_tensor({2}, {1, 2});
  fs::remove(folder / "query_0_StaticEmbedding/model.safetensors");
  test::write_tensors(folder / "query_0_StaticEmbedding/model.safetensors", tensors);
  EXPECT_THAT(error_text([&] { load(folder); }, ErrorCode::format),
              HasSubstr("has no matrix embedding.weight, the table of a StaticEmbedding"));
}

}  // namespace
}  // namespace mlxe::encoder_router_test
