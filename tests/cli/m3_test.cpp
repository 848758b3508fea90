// The commands with bge-m3: vectors of one run in three files, and each kind alone.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "json_lines.h"
#include "model_folders.h"
#include "run_program.h"

namespace mlxe::test::m3_cli_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const std::vector<std::string> kTexts{"The cat sat on the warm piano.", "rain, rain",
                                      "a road along the river"};

Outcome run(const std::string& command, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(),
                   {command, tiny("bge_m3").string(), "--engine", "cpu", "--activations", "f32"});
  return run_program(arguments);
}

std::vector<std::string> with_texts(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), kTexts.begin(), kTexts.end());
  return arguments;
}

TEST(M3Command, OneRunWritesWhatThreeCommandsDo) {
  const TemporaryFolder folder;
  for (const char* ending : {"safetensors", "jsonl"}) {
    const auto file = [&](const char* name) {
      return (folder / fmt::format("{}.{}", name, ending)).string();
    };
    const Outcome all = run("embed", with_texts({"-o", file("dense"), "--sparse-output", file("sparse"),
                                                 "--token-output", file("tokens")}));
    EXPECT_EQ(all.status, 0) << all.err;
    for (const auto& [command, name] :
         {std::pair("embed", "dense"), {"embed-sparse", "sparse"}, {"embed-tokens", "tokens"}}) {
      EXPECT_EQ(run(command, with_texts({"-o", file("alone")})).status, 0);
      EXPECT_EQ(read_file(file(name)), read_file(file("alone"))) << command;
    }
  }
}

TEST(M3Command, RefusesWhatDoesNotGoTogether) {
  const TemporaryFolder folder;
  const std::string file = folder / "v.npz";
  EXPECT_EQ(run("embed", {"a text", "--sparse-output", file, "--token-output", file}).status, 2);
  EXPECT_EQ(run("embed", {"a text", "--sparse-output", file, "--chunk", "20"}).status, 2);
  EXPECT_EQ(run("embed", {"a text", "--token-output", folder / "v.txt"}).status, 2);
  const Outcome other = run_program({"embed", tiny("bert").string(), "a text", "--sparse-output", file});
  EXPECT_EQ(other.status, 7);
  EXPECT_THAT(other.err, HasSubstr("use bge-m3"));
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST(M3Command, ComparesByTermsAndByTokens) {
  const json sparse = json_lines(run("similarity", {"--sparse", "--json", kTexts[0], "the cat"}))[0]["dot"];
  EXPECT_GT(sparse[0][1].get<double>(), 0);
  EXPECT_EQ(sparse[0][1], sparse[1][0]);
  const std::vector<json> ranked = json_lines(run("rerank", with_texts({"rain, rain", "--json"})));
  ASSERT_EQ(ranked.size(), 3u);
  EXPECT_EQ(ranked[0]["text"], "rain, rain");
  EXPECT_NEAR(ranked[0]["score"].get<double>(), 1, 1e-6) << "the mean of products with themselves";
  EXPECT_LT(ranked[1]["score"].get<double>(), 1);
}

}  // namespace
}  // namespace mlxe::test::m3_cli_test
