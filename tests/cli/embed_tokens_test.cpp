// The command embed-tokens, and rerank with a late interaction model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "format/safetensors.h"
#include "json_lines.h"
#include "model_folders.h"
#include "run_program.h"

namespace mlxe::test::embed_tokens_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const std::string kModel = tiny("colbert").string();
const std::vector<std::string> kTexts{"The cat sat on the warm piano.", "rain, rain",
                                      "a road along the river"};

Outcome run(const std::string& command, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {command, kModel, "--engine", "cpu", "--activations", "f32"});
  return run_program(arguments);
}

TEST(EmbedTokensCommand, PrintsAndWritesTheVectorsOfTokens) {
  const TemporaryFolder folder;
  std::vector<std::string> arguments{"--document", "--json"};
  arguments.insert(arguments.end(), kTexts.begin(), kTexts.end());
  const Outcome o = run("embed-tokens", arguments);
  EXPECT_EQ(o.status, 0) << o.err;
  const std::vector<json> lines = json_lines(o.out);
  ASSERT_EQ(lines.size(), kTexts.size());
  arguments.insert(arguments.end(), {"-o", folder / "v.safetensors"});
  const Outcome written = run("embed-tokens", arguments);
  EXPECT_EQ(written.status, 0) << written.err;
  const SafetensorsFile file(folder / "v.safetensors");
  const TensorView &offsets = *file.find("offsets"), &embeddings = *file.find("embeddings");
  EXPECT_EQ(offsets.shape, Shape{4});
  EXPECT_EQ(file.find("ids")->shape[0], embeddings.shape[0]);
  const std::vector<float> values = to_floats(embeddings);
  size_t row = 0;
  for (const json& line : lines) {
    EXPECT_EQ(line["tokens"].size(), line["vectors"].size());
    for (const json& vector : line["vectors"]) {
      ASSERT_EQ(vector.size(), 16u);
      for (size_t c = 0; c < 16; ++c) EXPECT_EQ(vector[c].get<float>(), values.at(row * 16 + c));
      ++row;
    }
  }
  EXPECT_EQ(static_cast<int64_t>(row), embeddings.shape[0]);
  EXPECT_EQ(json_lines(written.out)[0]["rows"], row);
  arguments.back() = folder / "v.npz";
  EXPECT_EQ(run("embed-tokens", arguments).status, 0);
  arguments.back() = folder / "v.jsonl";
  EXPECT_EQ(run("embed-tokens", arguments).status, 0);
  EXPECT_EQ(json_lines(read_file(folder / "v.jsonl")), lines);
  EXPECT_THAT(run("embed-tokens", {"--query", "rain"}).out, HasSubstr("rain\n  "));
}

TEST(EmbedTokensCommand, RefusesWhatIsNoLateInteraction) {
  EXPECT_EQ(run("embed-tokens", {"rain"}).status, 2);
  EXPECT_EQ(run("embed-tokens", {"rain", "--query", "--document"}).status, 2);
  EXPECT_EQ(run("embed-tokens", {"rain", "--query", "-o", "v.npy"}).status, 2);
  EXPECT_EQ(run_program({"embed-tokens", tiny("bert").string(), "rain", "--query"}).status, 7);
}

// A limit that leaves no room for the mark, and options that change nothing.
TEST(EmbedTokensCommand, RefusesOptionsWithoutEffect) {
  for (const char* limit : {"1", "2", "3"}) {
    const Outcome o = run("embed-tokens", {"rain", "--query", "--max-length", limit});
    EXPECT_EQ(o.status, 2);
    EXPECT_THAT(o.err, HasSubstr(std::string("a limit of ") + limit + " tokens, expected at least 4"));
  }
  EXPECT_EQ(run("embed-tokens", {"rain", "--query", "--max-length", "4"}).status, 0);
  EXPECT_THAT(run("rerank", {"who?", kTexts[0], "--instruction", "x"}).err,
              HasSubstr("takes no instruction"));
  EXPECT_THAT(run("rerank", {"who?", kTexts[0], "--raw"}).err, HasSubstr("raw already"));
}

TEST(EmbedTokensCommand, RerankIsByMaxSim) {
  const Outcome o =
      run("rerank", {"who came home?", kTexts[0], kTexts[1], kTexts[2], "--json", "--top-k", "2"});
  EXPECT_EQ(o.status, 0) << o.err;
  const std::vector<json> lines = json_lines(o.out);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_GE(lines[0]["score"], lines[1]["score"]);
  EXPECT_GT(lines[0]["score"].get<double>(), 1) << "no probability";
  std::string longer = "rain";
  for (int i = 0; i < 40; ++i) longer += " rain";
  EXPECT_THAT(run("rerank", {longer, kTexts[0]}).err, HasSubstr("query 1: truncated to "));
}

}  // namespace
}  // namespace mlxe::test::embed_tokens_test
