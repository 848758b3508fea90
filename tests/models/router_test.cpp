// Routes for queries and documents beside sentence-transformers (tests/data/routers, made by
// tools/make_router_goldens.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "golden.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/encoder.h"
#include "model_folders.h"
#include "route_goldens.h"

namespace mlxe::router_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const fs::path kRouters = fs::path(MLXE_TEST_DATA) / "routers";
const test::RouteGoldens& goldens() {
  static const test::RouteGoldens all(kRouters);
  return all;
}

Matrix golden(const std::string& name) {
  const TensorView& view = goldens().vectors(name);
  const std::vector<float> values = to_floats(view);
  return {view.shape.at(0), view.shape.at(1), {values.begin(), values.end()}};
}

Matrix matrix_of(const Vectors& v) {
  return {v.rows, v.columns, {v.values.begin(), v.values.end()}};
}

class Router : public ::testing::Test {
 protected:
  test::TemporaryFolder parent_;
  test::Heard heard_;

  // The tiny encoder with the modules of tests/data/routers/NAME.
  fs::path folder(const std::string& name) {
    const fs::path folder = parent_ / name;
    if (fs::exists(folder)) return folder;
    fs::copy(test::tiny("st_mean_norm"), folder, fs::copy_options::recursive);
    fs::remove(folder / "golden.safetensors");
    fs::remove_all(folder / "1_Pooling");
    fs::copy(kRouters / name, folder, fs::copy_options::recursive | fs::copy_options::overwrite_existing);
    return folder;
  }
  Encoder load(const fs::path& folder, EngineKind engine = EngineKind::cpu) {
    return Encoder::load(
        folder, {.engine = engine, .activations = Activations::float32, .warning = heard_.warning()});
  }
};

TEST_F(Router, RoutesAreThoseOfSentenceTransformers) {
  for (const std::string engine : {"cpu", "mlx"}) {
    std::string why_not;
    if (!test::make_engine(engine, why_not)) continue;
    for (const auto& [name, methods] : goldens().cases.at("folders").items()) {
      const Encoder encoder = load(folder(name), parse_engine(engine));
      for (const auto& [method, task] : test::kRouteMethods) {
        const json& expected = methods.at(method);
        if (expected.is_null()) {
          EXPECT_THAT(
              test::error_text([&] { encoder.embed(goldens().texts, {.task = task}); }, ErrorCode::usage),
              HasSubstr("has no route for a"))
              << name << ' ' << method;
          continue;
        }
        const Vectors found = encoder.embed(goldens().texts, {.task = task});
        const test::Difference d = test::difference(name + ' ' + method, matrix_of(found), golden(expected));
        EXPECT_LE(d.relative, test::kParityTolerance) << d.what << ' ' << d.place;
        EXPECT_EQ(encoder.dimension({.task = task}), found.columns);
      }
    }
  }
}

// The twin: the other route's vectors are far away.
TEST_F(Router, AnotherRouteIsSeen) {
  for (const char* name : {"router", "asym"}) {
    const Encoder encoder = load(folder(name));
    const Vectors found = encoder.embed(goldens().texts, {.task = EmbedTask::document});
    EXPECT_GT(test::difference(name, matrix_of(found), golden(std::string(name) + ".encode_query")).relative,
              1000 * test::kParityTolerance);
  }
}

TEST_F(Router, IsKnownBySettingsAndErrors) {
  const Encoder encoder = load(folder("no_default"));
  EXPECT_THAT(encoder.info().routes, ElementsAre("query", "passage"));
  EXPECT_THAT(heard_.sentences, ElementsAre(HasSubstr("no task takes the route \"passage\"")));
  EXPECT_THAT(test::error_text([&] { encoder.embed(goldens().texts); }, ErrorCode::usage),
              HasSubstr("no route for a text without a task; it has \"query\", \"passage\""));
  EXPECT_THAT(
      test::error_text([&] { encoder.embed(goldens().texts, {.task = EmbedTask::query, .dimension = 9}); },
                       ErrorCode::usage),
      HasSubstr("have 8 values"));
  // A prompt beside a task takes the place of the task's.
  const Encoder prompted = load(folder("router"));
  EmbedOptions options{.task = EmbedTask::query};
  options.prompt = "";
  std::vector<std::string> with_prompt;
  for (const std::string& text : goldens().texts) with_prompt.push_back("take the road: " + text);
  EXPECT_EQ(prompted.embed(with_prompt, options).values,
            prompted.embed(goldens().texts, {.task = EmbedTask::query}).values);
}

TEST_F(Router, ChunksTakeTheRoute) {
  const Encoder encoder = load(folder("router"));
  const std::vector<std::string> two{"The cat sat on the warm piano.", "A question"};
  const ChunkVectors one =
      encoder.embed_chunks(two, {.tokens = 24, .late = true}, {.task = EmbedTask::query});
  EXPECT_EQ(one.vectors.values, encoder.embed(two, {.task = EmbedTask::query}).values);
  const Encoder mapped = load(folder("mapped"));
  EXPECT_NO_THROW(
      mapped.embed_chunks(goldens().texts, {.tokens = 24, .late = true}, {.task = EmbedTask::query}));
  test::error_text([&] { mapped.embed_chunks(goldens().texts, {.tokens = 24, .late = true}); },
                   ErrorCode::unsupported);
}

TEST_F(Router, ConversionsKeepTheRoutes) {
  for (const char* name : {"router", "mapped", "asym"}) {
    const fs::path output = parent_ / (std::string(name) + "-8bit");
    convert({.model = folder(name), .output = output, .scheme = {Mode::affine, 8, 32, Dtype::f16}});
    const Encoder original = load(folder(name)), converted = load(output);
    EXPECT_EQ(converted.info().routes, original.info().routes);
    for (const auto& [method, task] : test::kRouteMethods) {
      const Vectors a = original.embed(goldens().texts, {.task = task}),
                    b = converted.embed(goldens().texts, {.task = task});
      // 8 bits: test::kParityTolerance does not hold, but another route has a cosine far below this.
      for (int64_t i = 0; i < a.rows; ++i)
        EXPECT_GT(cosine(a.row(i), b.row(i)), 0.999) << name << ' ' << method;
    }
    const fs::path again = parent_ / (std::string(name) + "-again");
    convert({.model = output, .output = again, .scheme = {Mode::affine, 8, 32, Dtype::f16}});
    EXPECT_EQ(load(again).embed(goldens().texts, {.task = EmbedTask::query}).values,
              converted.embed(goldens().texts, {.task = EmbedTask::query}).values);
  }
  EXPECT_THAT(test::error_text(
                  [&] {
                    convert({.model = folder("mapped"),
                             .output = parent_ / "x",
                             .scheme = {Mode::affine, 8, 32, Dtype::f16},
                             .layout = Layout::mlx_embeddings});
                  },
                  ErrorCode::unsupported),
              HasSubstr("--layout hf"));
}

TEST_F(Router, DamagedRoutesAreErrors) {
  const fs::path model = folder("router"), file = model / "2_Router/router_config.json";
  const std::string text = test::read_file(file);
  const auto changed = [&](const std::function<void(json&)>& change, ErrorCode code) {
    json config = json::parse(text);
    change(config);
    test::write_file(file, config.dump());
    const std::string said = test::error_text([&] { load(model); }, code);
    test::write_file(file, text);
    return said;
  };
  EXPECT_THAT(changed([](json& c) { c["structure"]["query"] = {"../x"}; }, ErrorCode::format),
              HasSubstr("expected a folder beside this file"));
  EXPECT_THAT(changed([](json& c) { c["structure"] = json::object(); }, ErrorCode::format),
              HasSubstr("has no routes"));
  EXPECT_THAT(changed([](json& c) { c["structure"]["query"] = json::array({"none"}); }, ErrorCode::format),
              HasSubstr("none"));
  EXPECT_THAT(changed([](json& c) { c["parameters"]["default_route"] = "x"; }, ErrorCode::format),
              HasSubstr("\"default_route\" is \"x\", which is no route"));
  EXPECT_THAT(
      changed([](json& c) { c["parameters"]["route_mappings"]["(None, None)"] = "x"; }, ErrorCode::format),
      HasSubstr("is mapped to \"x\", which is no route"));
  EXPECT_THAT(changed([](json& c) { c["parameters"]["unheard_of"] = 1; }, ErrorCode::unsupported),
              HasSubstr("unheard_of"));
  EXPECT_THAT(
      changed([](json& c) { c["types"]["query_0_Dense"] = "sentence_transformers.models.StaticEmbedding"; },
              ErrorCode::unsupported),
      HasSubstr("a StaticEmbedding in a route; implemented are routes after one Transformer"));
  test::RawTensors tensors = test::read_tensors(model / "2_Router/query_0_Dense/model.safetensors");
  std::vector<float> bias = test::floats(tensors.at("linear.bias"));
  bias[0] = NAN;
  tensors.at("linear.bias") = test::float_tensor({16}, bias);
  test::write_tensors(model / "2_Router/query_0_Dense/model.safetensors", tensors);
  EXPECT_THAT(test::error_text([&] { load(model); }, ErrorCode::numeric), HasSubstr("query_0_Dense"));
}

TEST_F(Router, FoldersWithoutATransformerAreRefused) {
  const auto said = [&](const char* type, ErrorCode code) {
    const fs::path folder = parent_ / "other";
    fs::create_directories(folder);
    test::write_file(folder / "modules.json",
                     json::array({json{{"idx", 0}, {"name", "0"}, {"path", "0_X"}, {"type", type}}}).dump());
    return test::error_text([&] { load(folder); }, code);
  };
  for (const char* router :
       {"sentence_transformers.base.modules.router.Router", "sentence_transformers.models.Asym"})
    EXPECT_THAT(said(router, ErrorCode::not_found), HasSubstr("0_X/config.json: no such file"));
  EXPECT_THAT(said("sentence_transformers.sentence_transformer.modules.static_embedding.StaticEmbedding",
                   ErrorCode::unsupported),
              HasSubstr("models of token vectors alone (model2vec) are not implemented"));
}

}  // namespace
}  // namespace mlxe::router_test
