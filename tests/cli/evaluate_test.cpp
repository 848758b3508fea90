// `mlx-encoder evaluate` as a user runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "metrics/correlation.h"
#include "mlx_encoder/encoder.h"
#include "model_folders.h"
#include "run_program.h"

namespace mlxe::test::evaluate_test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const char* const kPairs =
    "sentence1\tsentence2\tscore\n"
    "The cat sat.\tThe cat sat.\t5\nThe cat sat.\tA question\t1\n"
    "The road along the river\tTake the second road\t3\nHe repairs clocks.\tThe train was late.\t0.5\n";

const char* const kNli =
    "premise\thypothesis\tlabel\n"
    "The bread was still warm.\tSomebody had been to the market.\tneutral\n"
    "He repairs clocks.\tThe train was late.\tcontradiction\n"
    "The rain had closed the road.\tNobody came.\tENTAILMENT\n"
    "The cat sat.\tThe cat sat.\t0\n";

class Evaluate : public testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& content) {
    write_file(folder_ / name, content);
    return (folder_ / name).string();
  }
  // `model`: the name of a tiny model, or a path.
  Outcome run(const std::filesystem::path& model, const std::string& task, const std::string& data,
              std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{
        "evaluate", tiny(model.string()).string(), "--task", task, "--data", data, "--engine", "cpu"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  }
  json result(const std::filesystem::path& model, const std::string& task, const std::string& data,
              std::vector<std::string> more = {}) {
    more.push_back("--json");
    const Outcome o = run(model, task, data, more);
    EXPECT_EQ(o.status, 0) << o.err;
    return json::parse(o.out, nullptr, false);
  }
  // Expects a failure with this status and these words on standard error.
  void refused(const Outcome& o, int status, const std::vector<std::string>& words) {
    EXPECT_EQ(o.status, status) << o.err;
    for (const std::string& w : words) EXPECT_THAT(o.err, HasSubstr(w));
  }
  // A copy of the NLI model whose head makes the opposite decisions.
  std::string turned() {
    return changed_copy(tiny("distilbert_nli"), folder_ / "turned",
                        [](RawTensors& tensors) {
                          RawTensor& t = tensors.at("classifier.weight");
                          std::vector<float> values = floats(t);
                          for (float& v : values) v = -v;
                          t = float_tensor(t.shape, values);
                        })
        .string();
  }
  // Four documents and two queries, as BEIR lays them out.
  std::string beir() {
    file("beir/corpus.jsonl", R"({"_id": "d1", "title": "The river", "text": "runs along the road"})"
                              "\n"
                              R"({"_id": "d2", "title": "", "text": "He repairs clocks."})"
                              "\n\n"
                              R"({"_id": "d3", "text": "The train was late."})"
                              "\n"
                              R"({"_id": 4, "text": "Nobody came to the market."})"
                              "\n");
    file("beir/queries.jsonl",
         "{\"_id\": \"q1\", \"text\": \"He repairs clocks.\"}\n{\"_id\": \"q2\", \"text\": \"The second "
         "road\"}\n"
         "{\"_id\": \"q3\", \"text\": \"never judged\"}\n");
    file("beir/qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\td2\t1\nq2\td1\t2\nq2\t4\t0\n");
    return (folder_ / "beir").string();
  }

  TemporaryFolder folder_;
};

// ---- figures

TEST_F(Evaluate, SimilarityIsTheCorrelationOfCosines) {
  const std::string data = file("sts.tsv", kPairs);
  for (const char* model : {"st_mean_norm", "st_max"}) {  // st_max: vectors of any length
    const json j = result(model, "similarity", data);
    const Encoder encoder =
        Encoder::load(tiny(model), {.engine = EngineKind::cpu, .activations = Activations::float32});
    const Vectors v = encoder.embed({"The cat sat.", "The cat sat.", "The cat sat.", "A question",
                                     "The road along the river", "Take the second road", "He repairs clocks.",
                                     "The train was late."});
    std::vector<double> cosines;
    for (int64_t i = 0; i < v.rows; i += 2) cosines.push_back(cosine(v.row(i), v.row(i + 1)));
    const std::vector<double> gold{5, 1, 3, 0.5};
    EXPECT_NEAR(j["metrics"]["spearman"]["value"], spearman(gold, cosines), 1e-12);
    // cosine() rounds to float32, 2^-24 of values that lie within some 0.01 of each other
    EXPECT_NEAR(j["metrics"]["pearson"]["value"], pearson(gold, cosines), 1e-4);
    EXPECT_EQ(j["items"], 4);
    EXPECT_FALSE(j["metrics"]["spearman"].contains("original"));
    EXPECT_FALSE(j.contains("bootstrap"));
  }
}

TEST_F(Evaluate, TheWeightsAreJudgedAloneUnlessActivationsAreAskedFor) {
  const std::string data = file("sts.tsv", kPairs), converted = (folder_ / "8bit").string();
  ASSERT_EQ(run_program({"convert", tiny("st_mean_norm").string(), "--mlx-path", converted, "-q",
                         "--q-group-size", "32"})
                .status,
            0);
  const auto activations = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments{"evaluate", converted,  "--task", "similarity", "--data",
                                       data,       "--engine", "cpu",    "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return json::parse(run_program(arguments).out)["models"]["evaluated"]["activations"];
  };
  EXPECT_EQ(activations({}), "f32");
  EXPECT_EQ(activations({"--activations", "int8"}), "int8");
}

TEST_F(Evaluate, AModelWithItselfDiffersInNothing) {
  const json similar = result("st_mean_norm", "similarity", file("sts.tsv", kPairs),
                              {"--original", tiny("st_mean_norm").string()});
  const json nli =
      result("distilbert_nli", "nli", file("nli.tsv", kNli), {"--original", tiny("distilbert_nli").string()});
  for (const json& metrics : {similar["metrics"], nli["metrics"]})
    for (const json& m : metrics) {
      EXPECT_EQ(m["value"], m["original"]);
      EXPECT_EQ(m["difference"], 0.0);
      EXPECT_EQ(m["low"], 0.0);
      EXPECT_EQ(m["high"], 0.0);
    }
  EXPECT_EQ(nli["flips"]["count"], 0);
  EXPECT_EQ(nli["mcnemar"]["p"], 1.0);
  EXPECT_EQ(nli["bootstrap"], json({{"resamples", 10000}, {"confidence", 0.95}, {"seed", 1}}));
}

TEST_F(Evaluate, ClassifiersAreRightWhereClassifySaysTheGoldLabel) {
  const json j = result("distilbert_nli", "nli", file("nli.tsv", kNli));
  const Encoder encoder =
      Encoder::load(tiny("distilbert_nli"), {.engine = EngineKind::cpu, .activations = Activations::float32});
  const std::vector<TextInput> texts{{"The bread was still warm.", "Somebody had been to the market."},
                                     {"He repairs clocks.", "The train was late."},
                                     {"The rain had closed the road.", "Nobody came."},
                                     {"The cat sat.", "The cat sat."}};
  const std::vector<int64_t> gold{1, 2, 0, 0};  // names in any case, and a number
  double right = 0;
  const auto predictions = encoder.classify(texts);
  for (size_t i = 0; i < gold.size(); ++i) right += predictions[i].best == gold[i];
  EXPECT_EQ(j["metrics"]["accuracy"]["value"], right / 4);
  for (const char* metric : {"macro_f1", "weighted_f1", "matthews"})
    EXPECT_TRUE(j["metrics"].contains(metric));
  EXPECT_EQ(j["labels"][0]["label"], "entailment");
  EXPECT_EQ(j["labels"][0]["gold"], 2);
  EXPECT_FALSE(j["labels"][0].contains("original_f1"));
}

TEST_F(Evaluate, ADamagedHeadFlipsLabelsAndEachIsListed) {
  const std::string data = file("nli.tsv", kNli);
  const std::string original = turned();
  const json j = result("distilbert_nli", "nli", data, {"--original", original});
  EXPECT_EQ(j["flips"]["count"], 4);
  EXPECT_EQ(j["flips"]["rate"], 1.0);
  ASSERT_EQ(j["flips"]["items"].size(), 4u);
  const json& flip = j["flips"]["items"][1];
  EXPECT_EQ(flip["item"], 1);
  EXPECT_EQ(flip["line"], 3) << "in the file, the header is line 1";
  EXPECT_EQ(flip["text"], "He repairs clocks.");
  EXPECT_EQ(flip["text_pair"], "The train was late.");
  EXPECT_EQ(flip["gold"], "contradiction");
  EXPECT_NE(flip["original"], flip["evaluated"]);
  int64_t lost = 0, gained = 0;
  for (const json& f : j["flips"]["items"]) {
    lost += f["original"] == f["gold"];
    gained += f["evaluated"] == f["gold"];
  }
  EXPECT_EQ(j["mcnemar"]["only_original_right"], lost);
  EXPECT_EQ(j["mcnemar"]["only_evaluated_right"], gained);
  EXPECT_EQ(j["mcnemar"]["test"], "exact");
  EXPECT_NEAR(j["metrics"]["accuracy"]["difference"].get<double>(), static_cast<double>(gained - lost) / 4,
              1e-12);

  const Outcome table =
      run("distilbert_nli", "nli", data, {"--original", original, "--flips", "1", "--resamples", "50"});
  EXPECT_THAT(table.out, AllOf(HasSubstr("nli: 4 items; cpu engine"), HasSubstr("float32 activations"),
                               HasSubstr("accuracy"), HasSubstr("95 % interval"), HasSubstr("50 resamples"),
                               HasSubstr("Flips: 4 of 4 (100.00 %)"), HasSubstr("McNemar's p"),
                               HasSubstr("line 2: gold neutral"), Not(HasSubstr("line 3:"))));
  EXPECT_THAT(table.err, IsEmpty()) << "no progress bar where there is no terminal";
}

TEST_F(Evaluate, LabelsInAnotherOrderAreTheSameLabels) {
  const std::string data = file("nli.tsv", kNli);
  // The same head with its rows and its names reversed.
  const auto other = changed_copy(tiny("distilbert_nli"), folder_ / "reversed", [](RawTensors& tensors) {
    for (const char* name : {"classifier.weight", "classifier.bias"}) {
      RawTensor& t = tensors.at(name);
      const std::vector<float> values = floats(t);
      const size_t columns = values.size() / 3;
      std::vector<float> turned;
      for (size_t row : {2, 1, 0})
        turned.insert(turned.end(), values.begin() + static_cast<int64_t>(row * columns),
                      values.begin() + static_cast<int64_t>((row + 1) * columns));
      t = float_tensor(t.shape, turned);
    }
  });
  change_config(other, [](json& c) {
    c["id2label"] = {{"0", "Contradiction"}, {"1", "neutral"}, {"2", "entailment"}};
    c["label2id"] = {{"Contradiction", 0}, {"neutral", 1}, {"entailment", 2}};
  });
  // Without the row whose gold label is a number, which would be a class of the evaluated model.
  const std::string named = std::string(kNli).substr(0, std::string(kNli).find("The cat"));
  const json j = result("distilbert_nli", "nli", file("named.tsv", named), {"--original", other.string()});
  EXPECT_EQ(j["flips"]["count"], 0);
  change_config(other, [](json& c) {
    c["id2label"] = {{"0", "no"}, {"1", "maybe"}, {"2", "yes"}};
    c["label2id"] = {{"no", 0}, {"maybe", 1}, {"yes", 2}};
  });
  refused(run("distilbert_nli", "nli", data, {"--original", other.string()}), 7,
          {"no, maybe, yes", "a conversion of it"});
}

// ---- tags

const char* const kConll =
    "-DOCSTART- -X- O\n\nThe DT O\ncat NN B-person\nsat VB O\n\n"
    "river\tB-river-boat\nroad\tI-river-boat\n\n\nHe\tB-person\nrepairs\tO\nclocks\tO\n";

TEST_F(Evaluate, WordsGetTheTagOfTheirFirstTokenAndSpansAreCounted) {
  const std::string data = file("w.conll", kConll);
  const json j = result("bert_ner", "ner", data);
  EXPECT_EQ(j["items"], 3) << "sentences";
  EXPECT_EQ(j["words"], 8);
  for (const char* metric : {"span_f1", "span_precision", "span_recall", "span_macro_f1"})
    EXPECT_TRUE(j["metrics"][metric]["value"].is_number()) << metric;

  // Gold tags equal to the model's tags: everything is right.
  const Encoder encoder =
      Encoder::load(tiny("bert_ner"), {.engine = EngineKind::cpu, .activations = Activations::float32});
  const std::vector<std::vector<std::string>> sentences{
      {"The", "cat", "sat"}, {"river", "road"}, {"He", "repairs", "clocks"}};
  json lines = json::array();
  std::string own;
  for (const auto& words : sentences) {
    json tags = json::array();
    std::string text;
    std::vector<int32_t> begins;
    for (const std::string& w : words) {
      if (!text.empty()) text += ' ';
      begins.push_back(static_cast<int32_t>(text.size()));
      text += w;
    }
    const auto tokens = encoder.score_tokens(std::vector{text});
    for (const int32_t begin : begins)
      for (const TokenScores& t : tokens[0])
        if (t.begin == begin)
          tags.push_back(encoder.info().token_labels[std::ranges::max_element(t.scores) - t.scores.begin()]);
    own += json{{"tokens", words}, {"ner_tags", tags}}.dump() + "\n";
  }
  const json right =
      result("bert_ner", "ner", file("own.jsonl", own), {"--original", tiny("bert_ner").string()});
  EXPECT_EQ(right["metrics"]["span_f1"]["value"], 1.0) << own;
  EXPECT_EQ(right["metrics"]["span_f1"]["difference"], 0.0);
  EXPECT_EQ(right["flips"]["count"], 0);
  EXPECT_EQ(result("bert_ner", "ner", data, {"--limit", "2"})["words"], 5);
}

TEST_F(Evaluate, TagsThatFlipAreListedByWord) {
  const auto other = changed_copy(tiny("bert_ner"), folder_ / "other", [](RawTensors& tensors) {
    RawTensor& t = tensors.at("classifier.weight");
    std::vector<float> values = floats(t);
    for (float& v : values) v = -v;
    t = float_tensor(t.shape, values);
  });
  const json j = result("bert_ner", "ner", file("w.conll", kConll), {"--original", other.string()});
  ASSERT_GT(j["flips"]["count"], 0);
  EXPECT_NEAR(j["flips"]["rate"].get<double>(), j["flips"]["count"].get<double>() / 8, 1e-12);
  const json& flip = j["flips"]["items"][0];
  EXPECT_THAT(kConll, HasSubstr(flip["text"].get<std::string>()));
  EXPECT_TRUE(flip.contains("line"));
}

TEST_F(Evaluate, TagsThatDoNotFit) {
  refused(
      run("bert_ner", "ner", file("w.conll", "The\tO\ncat\tB-animal\n")), 6,
      {"w.conll: line 2: the tag \"B-animal\"", "the model has O, person, river-boat", "the data O, animal"});
  refused(run("bert_ner", "ner", file("w.conll", "The\tO\ncat\n")), 6,
          {"line 2: expected a word and its tag, found one column"});
  refused(run("bert_ner", "ner", file("w.conll", "The\t\n")), 6,
          {"line 1: expected a word and its tag, found an empty one"});
  refused(run("bert_ner", "ner", file("w.conll", "The\tO\ncat\tS-person\n"), {"--tagging", "IOB2"}), 6,
          {"line 2: the tag \"S-person\": IOB2"});
  refused(run("bert_ner", "ner", file("w.conll", "\n\n")), 2, {"holds no words"});
  refused(run("bert_ner", "ner", file("w.conll", kConll), {"--tagging", "IOE"}), 2,
          {"lenient, IOB1, IOB2, BIOES or BILOU"});
  refused(run("bert_ner", "ner", file("w.jsonl", R"({"tokens": ["a", "b"], "ner_tags": ["O"]})")), 6,
          {"line 1: 2 words, but 1 tags"});
  refused(run("bert", "ner", file("w.conll", kConll)), 7, {"no token classification head"});
  const Outcome cut = run("bert_ner", "ner", file("w.conll", kConll), {"--max-length", "3"});
  EXPECT_EQ(cut.status, 0);
  EXPECT_THAT(cut.err, HasSubstr("words have no token"));
}

TEST_F(Evaluate, TagPrintsEntitiesWithTheirPlace) {
  const std::string text = "Café au lait, naïve and 12,5 % of 3/4?";
  const Outcome o = run_program(
      {"tag", tiny("bert_ner").string(), text, "--json", "--engine", "cpu", "--aggregation", "none"});
  ASSERT_EQ(o.status, 0) << o.err;
  const json found = json::parse(o.out)["entities"];
  const json golden = json::parse(read_file(tiny("bert_ner") / "entities.json"))["none"][3];
  ASSERT_EQ(found.size(), golden.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i]["label"], golden[i]["label"]);
    EXPECT_EQ(found[i]["begin"], golden[i]["begin"]);
    EXPECT_THAT(text, HasSubstr(found[i]["text"].get<std::string>()));
    EXPECT_FALSE(found[i]["text"].get<std::string>().empty());
  }
  refused(run_program({"tag", tiny("bert_ner").string(), text, "--aggregation", "mean"}), 2,
          {"none, simple, first, average or max"});
  EXPECT_THAT(run_program({"tag", tiny("bert_ner").string(), text}).out, HasSubstr(text));
}

// ---- rankings

TEST_F(Evaluate, CandidatesInListsOrARowEachAreTheSame) {
  const json lists = result(
      "st_mean_norm", "rerank",
      file(
          "lists.jsonl",
          R"({"query": "The cat sat.", "positive": ["The cat sat."], "negative": ["A question", "The train"]})"
          "\n"
          R"({"query": "The road", "positives": "x", "positive": "Take the road", "negative": ["A question"]})"
          "\n"));
  const json rows =
      result("st_mean_norm", "rerank",
             file("rows.tsv",
                  "query\tpassage\trelevant\nThe cat sat.\tThe cat sat.\t1\nThe cat sat.\tA question\t0\n"
                  "The road\tTake the road\t1\nThe cat sat.\tThe train\t0\nThe road\tA question\t0\n"));
  EXPECT_EQ(lists["metrics"], rows["metrics"]);
  EXPECT_EQ(lists["items"], 2);
  EXPECT_EQ(lists["documents"], 4) << "a text is run once, whoever's candidate it is";
  EXPECT_EQ(rows["metrics"]["recall@10"]["value"], 1.0);
}

TEST_F(Evaluate, ACrossEncoderScoresPairs) {
  const std::string pairs = file("sts.tsv", kPairs);
  const json j = result("bert_regression", "similarity", pairs);
  EXPECT_TRUE(j["metrics"]["spearman"]["value"].is_number());
  const json ranked = result(
      "bert_regression", "rerank",
      file("rows.tsv", "query\tpassage\trelevant\nThe cat\tThe cat sat.\t1\nThe cat\tA question\t0\n"));
  EXPECT_GE(ranked["metrics"]["mrr"]["value"], 0.5);
}

// As in sentence-transformers' evaluator, which uses the results of CrossEncoder.predict().
TEST_F(Evaluate, ACrossEncodersActivationIsInItsCorrelation) {
  const std::filesystem::path model = folder_ / "cross";
  std::filesystem::copy(tiny("bert_regression"), model, std::filesystem::copy_options::recursive);
  json config = json::parse(read_file(model / "config.json"));
  config["sbert_ce_default_activation_function"] = "torch.nn.modules.activation.Sigmoid";
  write_file(model / "config.json", config.dump());
  const double found = result(model, "similarity", file("sts.tsv", kPairs))["metrics"]["pearson"]["value"];
  const Encoder encoder = Encoder::load(model, {.engine = EngineKind::cpu});
  const std::vector<TextInput> pairs{{"The cat sat.", "The cat sat."},
                                     {"The cat sat.", "A question"},
                                     {"The road along the river", "Take the second road"},
                                     {"He repairs clocks.", "The train was late."}};
  std::vector<double> scores, logits;
  for (const Prediction& p : encoder.classify(pairs)) {
    scores.push_back(p.scores[0]);
    logits.push_back(p.logits[0]);
  }
  const std::vector<double> gold{5, 1, 3, 0.5};
  EXPECT_NEAR(found, pearson(gold, scores), 1e-9) << "sums in double of the same floats";
  EXPECT_GT(std::abs(found - pearson(gold, logits)), 1e-7) << "the twin: without the sigmoid";
}

TEST_F(Evaluate, RetrievalReadsAFolderAsBeirLaysItOut) {
  const json j = result("st_mean_norm", "retrieval", beir());
  EXPECT_EQ(j["items"], 2) << "queries that were judged";
  EXPECT_EQ(j["documents"], 4);
  EXPECT_EQ(j["metrics"]["recall@100"]["value"], 1.0);
  EXPECT_GE(j["metrics"]["mrr"]["value"], 0.5) << "a document equal to the query comes first";
  file("beir/other.tsv", "query-id\tcorpus-id\tscore\nq1\td2\t1\n");
  const json other =
      result("st_mean_norm", "retrieval", beir(), {"--qrels", (folder_ / "beir/other.tsv").string()});
  EXPECT_EQ(other["items"], 1);
  EXPECT_EQ(other["metrics"]["ndcg@10"]["value"], 1.0);
}

TEST_F(Evaluate, QueriesWithoutARelevantDocumentAreLeftOutAndSaid) {
  beir();
  const std::string qrels = file("few.tsv", "query-id\tcorpus-id\tscore\nq1\td2\t1\nq2\td1\t0\n");
  const Outcome o = run("st_mean_norm", "retrieval", (folder_ / "beir").string(), {"--qrels", qrels});
  EXPECT_EQ(o.status, 0);
  EXPECT_THAT(o.err, HasSubstr("1 of 2 queries have no relevant document"));
  const std::string none = file("none.tsv", "query-id\tcorpus-id\tscore\nq2\td1\t0\n");
  refused(run("st_mean_norm", "retrieval", (folder_ / "beir").string(), {"--qrels", none}), 2,
          {"no items to evaluate on"});
}

TEST_F(Evaluate, QueriesGetTheModelsQueryPrompt) {
  const std::string data =
      file("rows.tsv",
           "query\tpassage\trelevant\nThe cat\tThe cat sat.\t1\nThe cat\tTake the road\t0\n"
           "The train\tThe train was late.\t1\nThe train\tTake the road along\t0\n");
  EXPECT_EQ(result("st_prompts", "rerank", data),
            result("st_prompts", "rerank", data, {"--query-prompt", "query"}));
  refused(run("st_prompts", "rerank", data, {"--query-prompt", "question"}), 2,
          {"\"question\"", "document, query"});
}

// ---- messages

TEST_F(Evaluate, TruncatedTextsAreSaidAndAnErrorUnderStrict) {
  const std::string data = file("sts.tsv", kPairs);
  const Outcome o = run("st_mean_norm", "similarity", data, {"--max-length", "4", "--json"});
  EXPECT_EQ(o.status, 0);
  EXPECT_THAT(o.err, HasSubstr("first texts: "));
  EXPECT_THAT(json::parse(o.out)["warnings"], Not(IsEmpty()));
  refused(run("st_mean_norm", "similarity", data, {"--max-length", "4", "--strict"}), 9,
          {"truncated to 4 tokens"});
}

TEST_F(Evaluate, ColumnsCanBeNamed) {
  const std::string data =
      file("odd.tsv", "a\tb\tgold\nThe cat\tThe cat\t1\nThe road\tA question\t0\nThe train\tlate\t0.2\n");
  const json j =
      result("st_mean_norm", "similarity", data,
             {"--column", "text=a", "--column", "pair=b", "--column", "score=gold", "--limit", "2"});
  EXPECT_EQ(j["items"], 2);
  refused(run("st_mean_norm", "similarity", data), 2,
          {"no column for the text", "looked for text, sentence1", "found a, b, gold", "--column text=NAME"});
  refused(run("st_mean_norm", "similarity", data, {"--column", "text=c"}), 2,
          {"looked for c; found a, b, gold"});
  refused(run("st_mean_norm", "similarity", data, {"--column", "label=b"}), 2,
          {"--column label=b", "text, pair, score"});
  refused(run("st_mean_norm", "similarity", data, {"--column", "text"}), 2, {"expected ROLE=NAME"});
  refused(run("st_mean_norm", "retrieval", beir(), {"--column", "text=a"}), 2,
          {"retrieval has fixed columns"});
}

TEST_F(Evaluate, OneValueForAllHasNoCorrelation) {
  const json j = result("st_mean_norm", "similarity",
                        file("flat.tsv", "text\ttext_pair\tscore\na\tb\t1\nThe cat\tb\t1\n"),
                        {"--original", tiny("st_mean_norm").string()});
  EXPECT_TRUE(j["metrics"]["spearman"]["value"].is_null());
  EXPECT_TRUE(j["metrics"]["spearman"]["low"].is_null());
}

// ---- bad input

TEST_F(Evaluate, MalformedRowsAreNamedByFileAndLine) {
  const std::string header = "text\ttext_pair\tscore\nThe cat\tThe road\t1\n";
  for (const auto& [row, says] :
       {std::pair("The cat\tThe road\n", "line 3: 2 tab-separated cells, the header has 3"),
        std::pair("The cat\tThe road\tx1\n", "line 3: \"score\" is \"x1\", expected a finite number"),
        std::pair("The cat\tThe road\tnan\n", "line 3: \"score\" is \"nan\", expected a finite number"),
        std::pair("The cat\tThe road\t0x10\n", "line 3: \"score\" is \"0x10\", expected a finite number"),
        std::pair("The cat\tThe road\t\n", "line 3: \"score\" is \"\", expected a finite number"),
        std::pair("The c\xFFt\tThe road\t1\n", "line 3: byte 6 is not UTF-8")})
    refused(run("st_mean_norm", "similarity", file("bad.tsv", header + row)), 6, {"bad.tsv: ", says});
  const std::string first = "{\"text\": \"The cat\", \"label\": 0}\n";
  for (const auto& [row, says] :
       {std::pair("[1]\n", "line 2: not a JSON object"),
        std::pair("{\"text\": \"The cat\"\n", "line 2: not valid JSON at column 19"),
        std::pair("{\"text\" \"The cat\"}\n", "line 2: not valid JSON at column 17"),
        std::pair("{\"text\": \"a\", \"label\": 0, \"text\": \"b\"}\n",
                  "line 2: the key \"text\" appears twice in one object"),
        std::pair("{\"text\": \"a\", \"label\": 1e999}\n", "line 2: a number is too large"),
        std::pair("{\"text\": \"The cat\"}\n", "line 2: no \"label\", which the rows before it have"),
        std::pair("{\"text\": null, \"label\": 1}\n", "line 2: \"text\" is neither a string nor a number")})
    refused(run("distilbert_nli", "classification", file("bad.jsonl", first + row)), 6,
            {"bad.jsonl: ", says});
  refused(run("st_mean_norm", "similarity", file("twice.tsv", "text\ttext\tscore\n")), 6,
          {"line 1: the header names a column twice"});
  refused(run("st_mean_norm", "rerank",
              file("bare.jsonl", R"({"query": "a", "positive": ["b"], "negative": []})")),
          6, {"line 1: expected at least one positive and one negative"});
}

TEST_F(Evaluate, ALabelTheModelHasNotListsBoth) {
  const std::string data = file("nli.tsv", std::string(kNli) + "a\tb\tmaybe\n");
  refused(run("distilbert_nli", "nli", data), 6,
          {"line 6: the label \"maybe\"", "the model has entailment, neutral, contradiction",
           "the data 0, ENTAILMENT", "maybe, neutral"});
  refused(run("distilbert_nli", "nli", file("three.tsv", "premise\thypothesis\tlabel\na\tb\t3\n")), 6,
          {"the label \"3\""});
}

TEST_F(Evaluate, AModelWithoutNamesTakesNumbers) {
  const auto unnamed = folder_ / "unnamed";
  std::filesystem::copy(tiny("distilbert_nli"), unnamed, std::filesystem::copy_options::recursive);
  change_config(unnamed, [](json& c) {
    c["id2label"] = {{"0", "LABEL_0"}, {"1", "LABEL_1"}, {"2", "LABEL_2"}};
    c["label2id"] = {{"LABEL_0", 0}, {"LABEL_1", 1}, {"LABEL_2", 2}};
  });
  const auto evaluate = [&](const std::string& data) {
    return run_program({"evaluate", unnamed.string(), "--task", "nli", "--data", data, "--engine", "cpu"});
  };
  EXPECT_EQ(evaluate(file("numbers.jsonl", R"({"premise": "a", "hypothesis": "b", "label": 2})")).status, 0);
  refused(evaluate(file("names.jsonl", R"({"premise": "a", "hypothesis": "b", "label": "neutral"})")), 6,
          {"LABEL_0, LABEL_1, LABEL_2", "give their numbers"});
}

TEST_F(Evaluate, AModelThatCannotDoTheTaskIsRefused) {
  const std::string sts = file("sts.tsv", kPairs), nli = file("nli.tsv", kNli);
  refused(run("distilbert_nli", "similarity", sts), 7,
          {"single_label_classification head with 3 outputs", "similarity needs"});
  refused(run("st_mean_norm", "nli", nli), 7, {"model without a classifier", "nli needs a classifier"});
  refused(run("bert_multilabel", "classification", file("c.tsv", "text\tlabel\na\tsea\n")), 7,
          {"multi_label_classification head"});
  refused(run("bert_regression", "classification", file("c.tsv", "text\tlabel\na\t0\n")), 7,
          {"regression head with 1 output;"});
  refused(run("bert_regression", "retrieval", beir()), 7, {"retrieval needs a sentence-embedding model"});
}

TEST_F(Evaluate, FilesThatAreMissingEmptyOrOfAnotherKind) {
  refused(run("st_mean_norm", "similarity", (folder_ / "no.tsv").string()), 4, {"no.tsv: no such file"});
  refused(run("st_mean_norm", "similarity", file("empty.tsv", "")), 2, {"empty.tsv: holds no rows"});
  refused(run("st_mean_norm", "similarity", file("header.tsv", "text\ttext_pair\tscore\n")), 2,
          {"holds no rows"});
  refused(run("st_mean_norm", "similarity", file("a.csv", "a,b\n")), 2,
          {"the format \"csv\" is unknown", "--input-format"});
  refused(run("st_mean_norm", "translation", file("sts.tsv", kPairs)), 2,
          {"the task \"translation\" is unknown; expected similarity, classification"});
  refused(run("st_mean_norm", "similarity", file("sts.tsv", kPairs), {"--qrels", "q.tsv"}), 2, {"--qrels"});
  refused(run("st_mean_norm", "retrieval", (folder_ / "nowhere").string()), 4, {"not a folder"});
  refused(run("st_mean_norm", "retrieval", file("sts.tsv", kPairs)), 2, {"not a folder"});
}

TEST_F(Evaluate, JudgementsThatDoNotFitTheirFiles) {
  const std::string folder = beir();
  const std::string header = "query-id\tcorpus-id\tscore\n";
  for (const auto& [row, says] :
       {std::pair("q9\td1\t1\n", "line 2: the query-id \"q9\" is not in"),
        std::pair("q1\td9\t1\n", "line 2: the corpus-id \"d9\" is not in"),
        std::pair("q1\td1\tyes\n", "line 2: \"score\" is \"yes\""),
        std::pair("q1\td1\t1\nq1\td1\t0\n", "line 3: this query and document stand here a second time")})
    refused(run("st_mean_norm", "retrieval", folder, {"--qrels", file("bad.tsv", header + row)}), 6,
            {"bad.tsv: ", says});
  refused(run("st_mean_norm", "retrieval", folder, {"--qrels", file("bad.tsv", "q1\td1\t1\nq1\td2\t1\n")}), 6,
          {"no \"query-id\""});
  std::filesystem::remove_all(folder_ / "beir/qrels");
  refused(run("st_mean_norm", "retrieval", folder), 4, {"neither qrels/test.tsv nor qrels.tsv"});
  write_file(folder_ / "beir/corpus.jsonl",
             "{\"_id\": \"a\", \"text\": \"x\"}\n{\"_id\": \"a\", \"text\": \"y\"}\n");
  refused(run("st_mean_norm", "retrieval", folder, {"--qrels", file("q.tsv", header + "q1\ta\t1\n")}), 6,
          {"corpus.jsonl: line 2: the _id \"a\" stands here a second time"});
}

}  // namespace
}  // namespace mlxe::test::evaluate_test
