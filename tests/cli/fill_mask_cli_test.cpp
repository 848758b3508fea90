// The command fill-mask: what it prints and refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "json_lines.h"
#include "model_folders.h"
#include "run_program.h"

namespace mlxe::test::fill_mask_cli_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kModel = tiny("bert_mlm").string();

TEST(FillMaskCommand, PrintsAnObjectALine) {
  const json golden = read_json(tiny("bert_mlm") / "fill_mask.json");
  std::string input;
  for (const json& c : golden) input += c["text"].dump() + "\n";
  const std::vector<json> lines =
      json_lines(run_program({"fill-mask", kModel, "--input", "-", "--input-format", "jsonl", "--engine",
                              "cpu", "--activations", "f32", "--top-k", "3", "--json", "--strict"},
                             input));
  ASSERT_EQ(lines.size(), golden.size());
  for (size_t i = 0; i + 1 < lines.size(); ++i) {  // the last has targets
    EXPECT_EQ(lines[i]["index"], i);
    ASSERT_EQ(lines[i]["masks"].size(), golden[i]["masks"].size());
    for (size_t m = 0; m < lines[i]["masks"].size(); ++m) {
      const json& mask = lines[i]["masks"][m];
      ASSERT_EQ(mask["fills"].size(), 3u);
      for (size_t k = 0; k < 3; ++k)
        for (const char* key : {"id", "token", "sequence"})
          EXPECT_EQ(mask["fills"][k][key], golden[i]["masks"][m][k][key]) << key;
      EXPECT_GT(mask["position"].get<int>(), 0);
    }
  }
  const json& targets = golden.back();
  std::string list;
  for (const std::string target : targets["targets"]) list += (list.empty() ? "" : ",") + target;
  const Outcome o = run_program({"fill-mask", kModel, targets["text"], "--targets", list, "--engine", "cpu",
                                 "--activations", "f32", "--json"});
  EXPECT_EQ(json_lines(o)[0]["masks"][0]["fills"].size(), targets["masks"][0].size());
  EXPECT_EQ(json_lines(o)[0]["masks"][0]["fills"][0]["id"], targets["masks"][0][0]["id"]);
  EXPECT_THAT(o.err, HasSubstr("warning: target \"harbourside\""));
}

TEST(FillMaskCommand, PrintsTokensForPeople) {
  const Outcome one = run_program({"fill-mask", kModel, "the [MASK] sat", "--top-k", "2", "--engine", "cpu"});
  EXPECT_EQ(one.status, 0) << one.err;
  EXPECT_THAT(one.out, HasSubstr("the [MASK] sat\n  "));
  EXPECT_THAT(one.out, HasSubstr(" sat\n"));
  EXPECT_THAT(run_program({"fill-mask", kModel, "[MASK] [MASK]", "--engine", "cpu"}).out,
              HasSubstr("  mask 2\n"));
}

TEST(FillMaskCommand, TakesTextsThatBeginWithADash) {
  const auto texts = json_lines(run_program(
      {"fill-mask", kModel, "the [MASK]", "--engine", "cpu", "--json", "--", "-b [MASK]", "--json [MASK]"}));
  EXPECT_EQ(texts.size(), 3u);
}

TEST(FillMaskCommand, NamesTheTextWithoutAMask) {
  const Outcome o =
      run_program({"fill-mask", kModel, "--input", "-", "--engine", "cpu"}, "the [MASK]\nthe cat\n");
  EXPECT_EQ(o.status, 6);
  EXPECT_EQ(o.err, "mlx-encoder: text 2: found no [MASK]; write [MASK] in the place of a word\n");
  EXPECT_EQ(run_program({"fill-mask", tiny("bert").string(), "[MASK]"}).status, 7);
  EXPECT_EQ(
      run_program({"fill-mask", kModel, "--input", "-", "--input-format", "jsonl"}, R"(["a", "b"])").status,
      6);
}

}  // namespace
}  // namespace mlxe::test::fill_mask_cli_test
