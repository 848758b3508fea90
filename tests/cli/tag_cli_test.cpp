// The command tag, and evaluate of tags, beside transformers (tests/tag_goldens.h).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "json_lines.h"
#include "run_program.h"
#include "tag_goldens.h"

namespace mlxe::test::tag_cli_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;

class TagCommand : public testing::Test {
 protected:
  // A model of the golden.
  std::string folder(const std::string& name) {
    for (const json& model : tag_goldens().at("models"))
      if (model.at("name") == name) return tag_folder(model, parent_.path()).string();
    throw std::runtime_error("no model " + name);
  }
  static json golden(const std::string& name) {
    for (const json& model : tag_goldens().at("models"))
      if (model.at("name") == name) return model;
    throw std::runtime_error("no model " + name);
  }
  // The texts of the golden through `tag`.
  static Outcome tag(const std::string& folder, const char* texts, std::vector<std::string> more) {
    std::string input;
    for (const json& text : tag_goldens().at(texts)) input += text.dump() + "\n";
    std::vector<std::string> arguments{"tag",      folder, "--input",       "-",  "--input-format", "jsonl",
                                       "--engine", "cpu",  "--activations", "f32"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments, input);
  }
  TemporaryFolder parent_;
};

// Valid UTF-8 without its first `count` code points.
std::string without_first(std::string text, int count) {
  for (; count > 0; --count) {
    size_t size = 1;
    while (size < text.size() && (text[size] & 0xc0) == 0x80) ++size;
    text.erase(0, size);
  }
  return text;
}

TEST_F(TagCommand, PrintsEntitiesWithTheirTextForEveryScript) {
  for (const char* name : {"byte_level_untrimmed", "unigram_albert"}) {
    const std::vector<json> lines = json_lines(tag(folder(name), "texts", {"--json"}));
    const json texts = tag_goldens().at("texts"), expected = golden(name).at("entities").at("simple");
    ASSERT_EQ(lines.size(), texts.size());
    for (size_t i = 0; i < lines.size(); ++i) {
      EXPECT_EQ(lines[i]["index"], i);
      const json& found = lines[i]["entities"];
      ASSERT_EQ(found.size(), expected[i].size()) << name << i;
      for (size_t k = 0; k < found.size(); ++k) {
        EXPECT_EQ(found[k]["label"], expected[i][k][0]);
        EXPECT_EQ(found[k]["begin"], expected[i][k][2]);
        EXPECT_EQ(found[k]["end"], expected[i][k][3]);
        const std::string text = found[k]["text"], rest = without_first(texts[i], found[k]["begin"]);
        EXPECT_TRUE(rest.starts_with(text)) << text;
        EXPECT_EQ(without_first(rest, found[k]["end"].get<int>() - found[k]["begin"].get<int>()),
                  rest.substr(text.size()));
      }
    }
    EXPECT_THAT(lines[12]["entities"], IsEmpty()) << "the empty text";
  }
}

TEST_F(TagCommand, ReadsLongTextsInWindows) {
  const std::string model = folder("wordpiece");
  const std::vector<json> lines = json_lines(
      tag(model, "long_texts", {"--json", "--strict", "--stride", "7", "--aggregation", "average"}));
  const json windows = golden("wordpiece").at("windows");
  for (const json& c : windows) {
    if (c.at("stride") != 7 || c.at("strategy") != "average") continue;
    ASSERT_EQ(lines.size(), c.at("entities").size());
    for (size_t i = 0; i < lines.size(); ++i) {
      json places = json::array(), expected = json::array();
      for (const json& e : lines[i]["entities"]) places.push_back({e["label"], e["begin"], e["end"]});
      for (const json& e : c.at("entities")[i]) expected.push_back({e[0], e[2], e[3]});
      EXPECT_EQ(places, expected) << i;
    }
  }
  EXPECT_THAT(tag(model, "long_texts", {}).err, HasSubstr("text 1: truncated to 40 tokens"));
  EXPECT_EQ(tag(model, "long_texts", {"--strict"}).status, 9);
  EXPECT_THAT(tag(model, "long_texts", {"--stride", "0"}).err, IsEmpty());
  EXPECT_EQ(tag(model, "long_texts", {"--stride", "5", "--aggregation", "none", "--strict"}).status, 0);
}

TEST_F(TagCommand, RefusesAStrideThatIsNoLessThanAWindow) {
  const std::string model = tiny("bert_ner").string();
  for (const auto& [arguments, words] :
       {std::pair(std::vector<std::string>{"--stride", "38"}, "found a stride of 38 tokens"),
        {{"--stride", "6", "--max-length", "8"}, "expected less than the 6 of a window"},
        {{"--stride", "-1"}, "--stride"},
        {{"--stride", "some"}, "--stride"}}) {
    std::vector<std::string> all{"tag", model, "hi", "--engine", "cpu"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Outcome o = run_program(all);
    EXPECT_EQ(o.status, 2);
    EXPECT_THAT(o.err, HasSubstr(words));
    EXPECT_THAT(o.out, IsEmpty());
  }
}

// Gold tags that are those of transformers' word_ids: every span is right.
TEST_F(TagCommand, EvaluateTakesTheFirstTokenOfEachWordForEveryTokenizer) {
  for (const json& model : tag_models("words")) {
    const std::string name = model.at("name");
    std::string lines;
    const json sentences = tag_goldens().at("sentences");
    for (size_t s = 0; s < sentences.size(); ++s)
      lines += json{{"tokens", sentences[s]}, {"ner_tags", model.at("words")[s]}}.dump() + "\n";
    write_file(parent_ / "gold.jsonl", lines);
    const Outcome o = run_program({"evaluate", tag_folder(model, parent_.path()).string(), "--task", "ner",
                                   "--data", (parent_ / "gold.jsonl").string(), "--engine", "cpu", "--json"});
    ASSERT_EQ(o.status, 0) << o.err;
    EXPECT_EQ(json::parse(o.out)["metrics"]["span_f1"]["value"], 1.0) << name;
  }
}

}  // namespace
}  // namespace mlxe::test::tag_cli_test
