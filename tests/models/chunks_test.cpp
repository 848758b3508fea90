// Chunks of long texts beside an independent cutter, sentence-transformers' vectors and the means of transformers' hidden
// states (tests/data/chunks, made by tools/make_chunk_goldens.py).
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

#include "golden.h"
#include "mlx_encoder/encoder.h"
#include "model_folders.h"

namespace mlxe::chunks_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const fs::path kChunks = fs::path(MLXE_TEST_DATA) / "chunks";

const json& cases() {
  static const json all = read_json(kChunks / "cases.json");
  return all;
}

const json& case_named(const std::string& name) {
  for (const json& c : cases().at("cases"))
    if (c.at("name") == name) return c;
  throw std::runtime_error("no case " + name);
}

Matrix golden(const std::string& name) {
  static const SafetensorsFile file(kChunks / "vectors.safetensors");
  const TensorView* view = file.find(name);
  if (view == nullptr) throw std::runtime_error("no golden " + name);
  const std::vector<float> values = to_floats(*view);
  return {view->shape.at(0), view->shape.at(1), {values.begin(), values.end()}};
}

std::vector<std::string> texts() {
  return cases().at("texts").get<std::vector<std::string>>();
}

ChunkOptions chunking(const json& c) {
  return {.tokens = c.at("tokens"), .overlap = c.at("overlap"), .late = c.at("late")};
}

EmbedOptions options(const json& c) {
  EmbedOptions options;
  options.prompt = c.at("prompt").get<std::string>();
  return options;
}

Matrix matrix_of(const Vectors& v) {
  return {v.rows, v.columns, {v.values.begin(), v.values.end()}};
}

std::vector<std::vector<int64_t>> places(const std::vector<Chunk>& chunks) {
  std::vector<std::vector<int64_t>> all;
  for (const Chunk& c : chunks) all.push_back({static_cast<int64_t>(c.text), c.begin, c.end, c.tokens});
  return all;
}

Encoder load(const std::string& folder, EngineKind engine = EngineKind::cpu, const Warning& warning = {}) {
  return Encoder::load(test::tiny(folder),
                       {.engine = engine, .activations = Activations::float32, .warning = warning});
}

// A text's part by code points.
std::string part_of(const std::string& text, const Chunk& chunk) {
  std::string part;
  int32_t at = -1;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) ++at;
    if (at >= chunk.begin && at < chunk.end) part += c;
  }
  return part;
}

class Chunks : public ::testing::TestWithParam<const char*> {};

TEST_P(Chunks, AreThoseOfTheGolden) {
  std::string why_not;
  const std::string engine = GetParam();
  if (!test::make_engine(engine, why_not)) GTEST_SKIP() << why_not;
  for (const json& c : cases().at("cases")) {
    const std::string name = c.at("name");
    const Encoder encoder = load(c.at("folder"), parse_engine(engine));
    const ChunkVectors found = encoder.embed_chunks(texts(), chunking(c), options(c));
    EXPECT_EQ(places(found.chunks), c.at("chunks").get<std::vector<std::vector<int64_t>>>()) << name;
    const test::Difference d = test::difference(name, matrix_of(found.vectors), golden(name));
    EXPECT_LE(d.relative, test::kParityTolerance) << name << ' ' << d.place;
  }
}

INSTANTIATE_TEST_SUITE_P(Engines, Chunks, ::testing::Values("cpu", "mlx"),
                         [](const auto& p) { return std::string(p.param); });

// The twin of the test above: vectors of chunks on their own are not those of late chunking, nor the other way round.
TEST(ChunkTwin, AnotherKindOfChunkIsSeen) {
  json c = case_named("st_dense.12.0");
  const Encoder encoder = load(c.at("folder"));
  for (const bool late : {false, true}) {
    c["late"] = late;
    const ChunkVectors found = encoder.embed_chunks(texts(), chunking(c), options(c));
    const std::string other = late ? "st_dense.12.0" : "st_dense.12.0.late";
    EXPECT_GT(test::difference(other, matrix_of(found.vectors), golden(other)).relative,
              1000 * test::kParityTolerance);
  }
}

// White space alone may lie between chunks.
TEST(ChunksOfTexts, LoseNoCharacter) {
  for (const json& c : cases().at("cases")) {
    if (c.at("late") || c.at("name") == "st_dense.3.0") continue;
    const Encoder encoder = load(c.at("folder"));
    const std::vector<std::string> all{"a b  c\td " + std::string(700, 'x') + "\n\n渡し船🚢 end.", texts()[0]};
    const ChunkVectors found = encoder.embed_chunks(all, chunking(c), options(c));
    for (size_t t = 0; t < all.size(); ++t) {
      int32_t covered = 0, count = 0;
      const auto length = static_cast<int32_t>(std::ranges::count_if(
          all[t], [](char b) { return (static_cast<unsigned char>(b) & 0xC0) != 0x80; }));
      for (const Chunk& chunk : found.chunks) {
        if (chunk.text != t) continue;
        EXPECT_EQ(chunk.index, count++);
        EXPECT_LE(chunk.tokens, c.at("tokens").get<int32_t>());
        EXPECT_LT(chunk.begin, chunk.end);
        if (chunk.begin > covered) {
          const std::string between = part_of(all[t], {.begin = covered, .end = chunk.begin});
          EXPECT_THAT(between, testing::MatchesRegex("[ \t\n]+"));
        }
        covered = std::max(covered, chunk.end);
      }
      EXPECT_EQ(covered, length);
    }
  }
}

// A chunk is a text of its own, to the bit; with late chunking, a chunk that is the whole text is.
TEST(ChunksOfTexts, HaveTheVectorsOfTexts) {
  for (const char* name :
       {"st_dense.12.5", "st_prompts.20.1", "st_dense.12.0.late", "st_prompts.20.1.late"}) {
    const json& c = case_named(name);
    for (const std::string engine : {"cpu", "mlx"}) {
      std::string why_not;
      if (!test::make_engine(engine, why_not)) continue;
      const Encoder encoder = load(c.at("folder"), parse_engine(engine));
      const ChunkVectors found = encoder.embed_chunks(texts(), chunking(c), options(c));
      int compared = 0;
      for (size_t i = 0; i < found.chunks.size(); ++i) {
        const std::string text = texts()[found.chunks[i].text];
        const std::string part = part_of(text, found.chunks[i]);
        if (c.at("late") && part != text) continue;
        ++compared;
        const Vectors alone = encoder.embed(std::vector{part}, options(c));
        const auto row = found.vectors.row(static_cast<int64_t>(i));
        const auto largest = std::ranges::max_element(row, {}, [](float v) { return std::abs(v); });
        for (size_t k = 0; k < row.size(); ++k)  // mlx: see batch_test.cpp
          EXPECT_NEAR(row[k], alone.values[k], engine == "cpu" ? 0 : 2e-6 * std::abs(*largest))
              << name << ' ' << i;
      }
      EXPECT_GE(compared, 2) << name;
    }
  }
}

TEST(ChunksOfTexts, DoNotDependOnOtherTextsOrThreads) {
  for (const char* name : {"st_dense.12.5", "st_dense.11.4.late"}) {
    const json& c = case_named(name);
    const Encoder encoder = load(c.at("folder"));
    const Encoder single =
        Encoder::load(test::tiny("st_dense"),
                      {.engine = EngineKind::cpu, .activations = Activations::float32, .threads = 1});
    const ChunkVectors together = encoder.embed_chunks(texts(), chunking(c), options(c));
    std::vector<float> alone;
    for (const std::string& text : texts()) {
      const ChunkVectors one = single.embed_chunks(std::vector{text}, chunking(c), options(c));
      alone.insert(alone.end(), one.vectors.values.begin(), one.vectors.values.end());
    }
    EXPECT_EQ(together.vectors.values, alone);
  }
}

TEST(ChunksOfTexts, ALongTextIsReadInWindowsWithAWarning) {
  test::Heard heard;
  const Encoder encoder = load("st_dense", EngineKind::cpu, heard.warning());
  heard.sentences.clear();
  const std::vector<std::string> two{"the cat sat on the warm piano and the cat", texts()[0]};
  encoder.embed_chunks(two, {.tokens = 12, .late = true}, {.first_text = 5});
  EXPECT_THAT(heard.sentences, ElementsAre(HasSubstr("1 of the texts 6 to 7 is longer than 24 tokens")));
  CallReport report;
  encoder.embed_chunks(two, {.tokens = 12, .late = true}, {.report = &report});
  EXPECT_EQ(report.warnings.size(), 1u);
  EXPECT_THAT(report.truncated, IsEmpty());
  heard.sentences.clear();
  encoder.embed_chunks(two, {.tokens = 12});
  EXPECT_THAT(heard.sentences, IsEmpty());
}

TEST(ChunksOfTexts, BadOptionsAreErrors) {
  const Encoder encoder = load("st_dense");
  const auto refused = [&](const ChunkOptions& chunks, const EmbedOptions& with = {},
                           const std::string& text = "the cat", ErrorCode code = ErrorCode::usage) {
    return test::error_text([&] { encoder.embed_chunks(std::vector{text}, chunks, with); }, code);
  };
  EXPECT_THAT(refused({.tokens = 25}), HasSubstr("reads at most 24 tokens of a text; give 24 or less"));
  EXPECT_THAT(refused({.tokens = 2}), HasSubstr("2 go to special tokens and the prompt; give 3 or more"));
  EXPECT_THAT(refused({.tokens = 0}), HasSubstr("give 3 or more"));
  EXPECT_THAT(refused({.tokens = 10, .overlap = 8}), HasSubstr("a chunk has 8 beside"));
  EXPECT_THAT(refused({.tokens = 10, .overlap = -1}), HasSubstr("give 0 to 7"));
  EmbedOptions prompt{.first_text = 3};
  prompt.prompt = "the road: ";
  EXPECT_THAT(refused({.tokens = 4}, prompt), HasSubstr("special tokens and the prompt"));
  EXPECT_THAT(refused({.tokens = 12}, prompt, "the \xFF cat", ErrorCode::format),
              HasSubstr("text 4: text is not UTF-8 at byte 4"));
  for (const char* folder : {"st_cls", "st_lasttoken", "st_max", "st_concat", "st_mean_sqrt_len"})
    EXPECT_THAT(test::error_text([&] { load(folder).embed_chunks(texts(), {.tokens = 12, .late = true}); },
                                 ErrorCode::unsupported),
                HasSubstr("late chunking: the model's pooling is "))
        << folder;
}

// Three tokens stand for a character of three bytes that is not in the vocabulary.
TEST(ChunksOfTexts, ACharacterThatDoesNotFitIsAnError) {
  const Encoder encoder = load("st_qwen3");
  const int32_t added = static_cast<int32_t>(encoder.tokenize({"", std::nullopt}).ids.size());
  EXPECT_THAT(test::error_text(
                  [&] { encoder.embed_chunks(std::vector<std::string>{"the 渡渡"}, {.tokens = added + 2}); },
                  ErrorCode::usage),
              HasSubstr("text 1: at byte 4, a character has more tokens than fit"));
}

// No token is lost, however far the text goes beyond the limit.
TEST(ChunksOfTexts, OfAVeryLongTextAreAll) {
  const Encoder encoder = load("st_mean_norm");
  std::string long_text;
  while (long_text.size() < 40'000) long_text += "the cat sat on the road ";
  std::atomic<uint64_t> told = 0;
  const ChunkVectors found =
      encoder.embed_chunks(std::vector{long_text}, {.tokens = 24},
                           {.progress = [&](std::string_view stage, uint64_t done, uint64_t) {
                             EXPECT_EQ(stage, "chunks");
                             told = done;
                           }});
  EXPECT_EQ(told, found.chunks.size());
  int32_t end = -1;
  for (const Chunk& c : found.chunks) {
    EXPECT_EQ(c.begin, end + 1);
    end = c.end;
  }
  EXPECT_EQ(end + 1, static_cast<int32_t>(long_text.size()));
}

}  // namespace
}  // namespace mlxe::chunks_test
