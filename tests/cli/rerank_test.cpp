// The command rerank: documents of a query, and files of pairs.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "json_lines.h"
#include "model_folders.h"
#include "run_program.h"

namespace mlxe::test::rerank_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const json& golden() {
  static const json all = read_json(fs::path(MLXE_TEST_DATA) / "vectors/cases.json");
  return all;
}

class Rerank : public testing::Test {
 protected:
  const std::string query_ = golden().at("query");
  const std::vector<std::string> documents_ = golden().at("documents");
  // Pairs of a document's index and its score, of CrossEncoder.rank.
  const json expected_ = golden().at("rank").at(0).at("result");
  TemporaryFolder folder_;

  Outcome rerank(std::vector<std::string> arguments, const char* model = "xlm_roberta_cls") const {
    arguments.insert(arguments.begin(), {"rerank", tiny(model), "--engine", "cpu", "--activations", "f32"});
    return run_program(arguments);
  }
  // `first`: index of the first document in the input.
  void expect_ranking(const std::vector<json>& found, size_t count, size_t first = 0) const {
    ASSERT_THAT(found, SizeIs(count));
    for (size_t i = 0; i < count; ++i) {
      const size_t document = expected_[i][0];
      EXPECT_EQ(found[i].at("rank"), i + 1);
      EXPECT_EQ(found[i].at("index"), first + document);
      EXPECT_EQ(found[i].at("text"), documents_[document]);
      // kParityTolerance of the largest logit; a sigmoid is at most a quarter as steep.
      EXPECT_NEAR(found[i].at("score").get<double>(), expected_[i][1].get<double>(), 5e-5);
    }
  }
};

TEST_F(Rerank, PrintsTheBestDocumentFirst) {
  std::vector<std::string> arguments{query_};
  arguments.insert(arguments.end(), documents_.begin(), documents_.end());
  arguments.emplace_back("--json");
  expect_ranking(json_lines(rerank(arguments)), documents_.size());
  arguments.insert(arguments.end(), {"--top-k", "2"});
  expect_ranking(json_lines(rerank(arguments)), 2);
  arguments.pop_back();
  arguments.emplace_back("600");
  expect_ranking(json_lines(rerank(arguments)), documents_.size());
}

TEST_F(Rerank, PrintsForPeople) {
  const Outcome o = rerank({query_, "the cat", "a dog"});
  EXPECT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.out,
              testing::MatchesRegex("Where is the cat\\?\n +1 +0\\.[0-9]+ +.*\n +2 +0\\.[0-9]+ +.*\n"));
  EXPECT_EQ(rerank({"", ""}).status, 0) << "texts may be empty";
}

TEST_F(Rerank, ReadsDocumentsFromAFile) {
  std::string jsonl, tsv = "query\tpassage\n";
  for (const std::string& d : documents_) jsonl += json(d).dump() + "\n";
  write_file(folder_ / "d.jsonl", jsonl);
  expect_ranking(json_lines(rerank({query_, "--input", folder_ / "d.jsonl", "--json"})), documents_.size());
}

// Two queries whose rows take turns: the documents of each are ranked on their own.
TEST_F(Rerank, APairIsAQueryAndADocument) {
  std::string pairs = json{{"query", "Who repairs clocks?"}, {"passage", "Nobody."}}.dump() + "\n";
  for (const std::string& d : documents_) pairs += json{{"query", query_}, {"passage", d}}.dump() + "\n";
  pairs += json{{"query", "Who repairs clocks?"}, {"passage", "He repairs clocks."}}.dump() + "\n";
  write_file(folder_ / "p.jsonl", pairs);
  std::vector<json> all = json_lines(rerank({"--input", folder_ / "p.jsonl", "--json"}));
  ASSERT_THAT(all, SizeIs(2 + documents_.size()));
  for (size_t i = 0; i < all.size(); ++i)
    EXPECT_EQ(all[i].at("query"), i < 2 ? "Who repairs clocks?" : query_)
        << "queries in the order of their first rows";
  EXPECT_EQ(all[0].at("index").get<int>() + all[1].at("index").get<int>(), 7);
  all.erase(all.begin(), all.begin() + 2);
  expect_ranking(all, documents_.size(), 1);
  EXPECT_THAT(json_lines(rerank({"--input", folder_ / "p.jsonl", "--json", "--top-k", "1"})), SizeIs(2));
}

// More documents than a window; those that are dropped on the way change nothing.
TEST_F(Rerank, TheBestOfManyAreTheFirstOfAll) {
  std::string lines_of_text;
  for (int i = 0; i < 13000; ++i) lines_of_text += fmt::format("a {} cat {}\n", i % 83, i % 13);
  write_file(folder_ / "d.txt", lines_of_text);
  const std::vector<json> all = json_lines(rerank({query_, "--input", folder_ / "d.txt", "--json"}));
  std::vector<json> few =
      json_lines(rerank({query_, "--input", folder_ / "d.txt", "--json", "--top-k", "20"}));
  ASSERT_THAT(all, SizeIs(13000));
  EXPECT_EQ(few, std::vector<json>(all.begin(), all.begin() + 20));
  for (size_t i = 1; i < all.size(); ++i) {
    const double above = all[i - 1].at("score"), score = all[i].at("score");
    ASSERT_TRUE(above > score || (above == score && all[i - 1].at("index") < all[i].at("index"))) << i;
  }
}

TEST_F(Rerank, RawScoresAreLogits) {
  const auto score = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {query_, "the cat", "--json"});
    return json::parse(rerank(options).out).at("score").get<double>();
  };
  EXPECT_NEAR(score({}), 1 / (1 + std::exp(-score({"--raw"}))), 1e-6);
  // A regression: its logit is classify's score, and its sigmoid CrossEncoder's.
  const Outcome raw = rerank({query_, "the cat", "--json", "--raw"}, "bert_regression");
  const Outcome classified = run_program({"classify", tiny("bert_regression"), query_, "--pair", "the cat",
                                          "--json", "--engine", "cpu", "--activations", "f32"});
  EXPECT_EQ(json::parse(raw.out).at("score"), json::parse(classified.out).at("scores").at("score"));
}

TEST_F(Rerank, WhatIsNoRankingIsAnError) {
  write_file(folder_ / "p.tsv", "query\tpassage\nthe cat\ta dog\n");
  write_file(folder_ / "d.txt", "the cat\n");
  for (const auto& [model, arguments, status, expected] :
       std::vector<std::tuple<const char*, std::vector<std::string>, int, std::string>>{
           {"roberta_cls",
            {"q", "d"},
            7,
            "has 3 labels (calm, windy, stormy); a reranker has one; use classify"},
           {"st_mean_norm", {"q", "d"}, 7, "no classification head"},
           {"xlm_roberta_cls", {"q"}, 2, "no texts were given"},
           {"xlm_roberta_cls",
            {"q", "--input", folder_ / "p.tsv"},
            2,
            "text 1 is a pair of a query and a document"},
           {"xlm_roberta_cls", {"--input", folder_ / "d.txt"}, 2, "text 1 has no second text"},
           {"xlm_roberta_cls", {"q", "d", "--top-k", "0"}, 2, "--top-k: found \"0\""},
           {"xlm_roberta_cls", {"q", "d", "--top-k", "x"}, 2, "--top-k: found \"x\""},
           {"xlm_roberta_cls", {"q", "--input", folder_ / "absent.txt"}, 4, "absent.txt"}}) {
    const Outcome o = rerank(arguments, model);
    EXPECT_EQ(o.status, status) << expected << o.err;
    EXPECT_THAT(o.err, HasSubstr(expected));
    EXPECT_THAT(o.out, IsEmpty());
  }
  const Outcome bytes = rerank({"q", "d", "b\xff"});
  EXPECT_EQ(bytes.status, 6);
  EXPECT_THAT(bytes.err, HasSubstr("text 2"));
}

}  // namespace
}  // namespace mlxe::test::rerank_test
