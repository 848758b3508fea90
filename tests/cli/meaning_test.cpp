// The meaning of texts, labels and options of the commands.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model_folders.h"
#include "run_program.h"

namespace mlxe::test::meaning_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const fs::path kCases = fs::path(MLXE_SHARED_DIR) / "cases";

json result(const std::vector<std::string>& arguments) {
  const Outcome o = run_program(arguments);
  EXPECT_EQ(o.status, 0) << o.err;
  return json::parse(o.out);
}

json zero_shot(const std::string& labels, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments{"zero-shot",
                                     tiny("distilbert_nli").string(),
                                     "the road was late",
                                     "--labels",
                                     labels,
                                     "--engine",
                                     "cpu",
                                     "--json"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return result(arguments);
}

TEST(ZeroShotLabels, AreTrimmedAndTakenOnce) {
  const json plain = zero_shot("sports,politics");
  for (const char* same : {"sports, politics", " sports ,\tpolitics ", "sports,politics,", "sports,,politics",
                           "sports, politics,sports", "sports,politics, sports "})
    EXPECT_EQ(zero_shot(same), plain) << same;
  const auto told = [](const char* labels, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{
        "zero-shot", tiny("distilbert_nli").string(), "a", "--engine", "cpu", "--labels", labels};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  };
  EXPECT_THAT(told("a, b").err, IsEmpty());
  EXPECT_THAT(told("a,b, a").err, HasSubstr("warning: --labels: \"a\" was given twice"));
  EXPECT_EQ(told("a,b,a", {"--strict"}).status, 9);
  EXPECT_EQ(told(" ").status, 2);
  EXPECT_NE(zero_shot("sports", {"--multi-label"})["scores"], zero_shot("sports,politics")["scores"]);
}

TEST(ZeroShotLabelsShared, OfTheModelThatPrefersPolitics) {
  if (!fs::exists(kCases)) GTEST_SKIP() << kCases << " is not there";
  const json j =
      result({"zero-shot", (kCases / "real-B26/roberta_nli").string(), "the road was all in rain", "--labels",
              "sports, politics", "--activations", "f32", "--engine", "cpu", "--json"});
  EXPECT_EQ(j["label"], "politics");
  EXPECT_NEAR(j["scores"]["politics"].get<double>(), 0.5058, 5e-5);  // transformers' pipeline, to 4 places
}

TEST(ClassifyScores, KeepEveryClassWhereNamesRepeat) {
  const TemporaryFolder folder;
  fs::copy(tiny("bert_prefix"), folder / "m", fs::copy_options::recursive);
  change_config(folder / "m", [](json& c) {
    c["id2label"] = {{"0", "calm"}, {"1", "calm"}, {"2", "stormy"}};
  });
  const json j = result({"classify", (folder / "m").string(), "the cat", "--engine", "cpu", "--json"});
  ASSERT_EQ(j["scores"].size(), 3u) << j;
  double sum = 0;
  for (const char* name : {"calm (0)", "calm (1)", "stormy"}) sum += j["scores"].at(name).get<double>();
  EXPECT_NEAR(sum, 1, 1e-6);
  EXPECT_TRUE(j["scores"].contains(j["label"].get<std::string>()));
}

TEST(EmptyPair, MeansTheSameAsAnOptionAndInAFile) {
  const TemporaryFolder folder;
  write_file(folder / "t.jsonl", R"({"text": "the cat", "text_pair": ""})"
                                 "\n");
  write_file(folder / "t.tsv", "text\ttext_pair\nthe cat\t\n");
  for (const char* command : {"classify", "tokenize"}) {
    const std::vector<std::string> start{command, tiny("bert_prefix").string(), "--engine", "cpu", "--json"};
    const auto run = [&](std::vector<std::string> more) {
      more.insert(more.begin(), start.begin(), start.end());
      return result(more);
    };
    const json option = run({"the cat", "--pair", ""});
    EXPECT_EQ(option, run({"--input", (folder / "t.jsonl").string()})) << command;
    EXPECT_EQ(option, run({"--input", (folder / "t.tsv").string()})) << command;
    EXPECT_NE(option, run({"the cat"})) << command << ": a second text, though an empty one";
  }
}

TEST(Options, OfWhichOneWouldBeIgnoredAreUsageErrors) {
  const std::string model = tiny("st_prompts").string();
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"embed", model, "a", "--engine", "mlx", "--activations", "int8"},
        std::vector<std::string>{"embed", model, "a", "--engine", "mlx", "--activations", "bf16"},
        std::vector<std::string>{"embed", model, "a", "--prompt", "q: ", "--prompt-name", "query"}}) {
    const Outcome o = run_program(arguments);
    EXPECT_EQ(o.status, 2) << o.err;
    EXPECT_THAT(o.err,
                AnyOf(HasSubstr("choose float32 or the cpu engine"), HasSubstr("give one of the two")));
    EXPECT_THAT(o.out, IsEmpty());
  }
}

TEST(Options, WithoutEffectAreUsageErrors) {
  const TemporaryFolder folder;
  const std::string model = tiny("st_prompts"), classifier = tiny("bert_prefix"), tagger = tiny("bert_ner"),
                    data = folder / "d.tsv", out = folder / "out", gates = folder / "g.toml";
  write_file(data, "text\ttext_pair\tscore\nthe cat\ta dog\t1\na dog\tthe cat\t2\n");
  write_file(gates, "[gates]\n");
  const auto evaluate = [&](std::vector<std::string> more) {
    std::vector<std::string> all{"evaluate", model, "--task", "similarity", "--data", data};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  EXPECT_EQ(run_program(evaluate({})).status, 0);
  EXPECT_EQ(run_program(evaluate({"--original", model, "--resamples", "9", "--seed", "3"})).status, 0);
  for (const auto& [arguments, named] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"embed", model, "hi", "--input-format", "nonsense"}, "--input-format"},
           {evaluate({"--query-prompt", "query"}), "--query-prompt"},
           {evaluate({"--document-prompt", "query"}), "--document-prompt"},
           {evaluate({"--tagging", "BIOES"}), "--tagging"},
           {evaluate({"--original", model, "--flips", "3"}), "--flips"},
           {evaluate({"--qrels", data}), "--qrels"},
           {evaluate({"--resamples", "10"}), "--resamples"},
           {evaluate({"--confidence", "0.9"}), "--confidence"},
           {evaluate({"--seed", "3"}), "--seed"},
           {{"evaluate", classifier, "--task", "nli", "--data", data, "--flips", "3"}, "--flips"},
           {{"evaluate", model, "--task", "retrieval", "--data", folder.path(), "--input-format", "tsv"},
            "--input-format"},
           {{"compare", model, model, "--texts", data, "--no-speed", "--seconds", "1"}, "--seconds"},
           {{"convert", model, "-d", "--gates", gates, "--mlx-path", out}, "--gates"},
           {{"convert", model, "-d", "--layout", "mlx-embeddings", "--mlx-path", out}, "--layout"}}) {
    const Outcome o = run_program(arguments);
    EXPECT_EQ(o.status, 2) << testing::PrintToString(arguments) << o.err;
    EXPECT_THAT(o.err, HasSubstr(named));
    EXPECT_THAT(o.out, IsEmpty());
    EXPECT_FALSE(fs::exists(out));
  }
}

TEST(SecondText, IsNeverDropped) {
  const std::string single = R"({"text": "the cat"})"
                             "\n",
                    pair = R"({"text": "a", "text_pair": "b"})"
                           "\n";
  const auto run = [&](std::vector<std::string> command) {
    command.insert(command.end(), {"--input", "-", "--input-format", "jsonl", "--engine", "cpu"});
    EXPECT_EQ(run_program(command, single).status, 0) << testing::PrintToString(command);
    return run_program(command, single + pair);
  };
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"zero-shot", tiny("distilbert_nli"), "--labels", "x,y"},
                                             {"embed", tiny("st_mean_norm")},
                                             {"tag", tiny("bert_ner")}}) {
    const Outcome o = run(command);
    EXPECT_EQ(o.status, 2);
    EXPECT_THAT(o.err, HasSubstr("text 2 is a pair; " + command[0] + " takes single texts"));
  }
  for (const char* command : {"classify", "tokenize"}) {
    const Outcome o = run({command, tiny("bert_prefix"), "--pair", "other"});
    EXPECT_EQ(o.status, 2);
    EXPECT_THAT(o.err, HasSubstr("text 2 has a second text of its own; leave --pair out"));
  }
}

TEST(GoldLabels, OfANameThatTwoClassesHaveAreRefused) {
  const TemporaryFolder folder;
  const std::string model = folder / "m", data = folder / "d.tsv";
  fs::copy(tiny("bert_prefix"), model, fs::copy_options::recursive);
  change_config(model, [](json& c) { c["id2label"] = {{"0", "calm"}, {"1", "calm"}, {"2", "stormy"}}; });
  const std::vector<std::string> command{"evaluate", model, "--task", "classification",
                                         "--data",   data,  "--json"};
  write_file(data, "text\tlabel\nthe cat\tstormy\na dog\tcalm\n");
  const Outcome o = run_program(command);
  EXPECT_EQ(o.status, 6);
  EXPECT_THAT(
      o.err,
      HasSubstr("line 3: the label \"calm\" is the name of the model's classes 0 and 1; give numbers"));
  write_file(data, "text\tlabel\nthe cat\t2\na dog\t1\n");
  const json labels = result(command)["labels"];
  EXPECT_THAT(labels.dump(), AllOf(HasSubstr("calm (0)"), HasSubstr("calm (1)"), HasSubstr("\"stormy\"")));
}

TEST(EmptyText, IsAnErrorThatNamesIt) {
  const TemporaryFolder folder;
  for (const auto& [command, name] :
       {std::pair("classify", "distilbert_cls"), std::pair("embed", "st_cls")}) {
    const fs::path model = folder / name;
    fs::copy(tiny(name), model, fs::copy_options::recursive);
    json tokenizer = read_json(model / "tokenizer.json");
    tokenizer["post_processor"] = nullptr;
    write_file(model / "tokenizer.json", tokenizer.dump());
    const Outcome o = run_program({command, model.string(), "the cat", "", "--engine", "cpu"});
    EXPECT_EQ(o.status, 6);
    EXPECT_THAT(o.err, HasSubstr("text 2: no token to compute from"));
    // In the second window: a window holds 4096 texts.
    std::string lines;
    for (int i = 0; i < 4200; ++i) lines += i == 4150 ? " \n" : "cat\n";
    write_file(folder / "lines.txt", lines);
    EXPECT_THAT(
        run_program({command, model.string(), "--input", (folder / "lines.txt").string(), "--engine", "cpu"})
            .err,
        HasSubstr("text 4151: no token"));
  }
}

TEST(TextColumns, WithoutAKnownNameTheFirstIsTakenAndToldByEveryCommand) {
  const TemporaryFolder folder;
  const std::string file = (folder / "t.tsv").string();
  const auto put = [&](const std::string& header, int rows) {
    std::string lines = header + "\n";
    for (int i = 0; i < rows; ++i)
      lines += std::to_string(i) + "\tThe cat sat on piano " + std::to_string(i) + "\n";
    write_file(file, lines);
  };
  const std::string vectors = tiny("st_mean_norm").string(), texts = "--input";
  struct Case {
    std::vector<std::string> command;
    int rows = 4;
    bool quiet = true;  // no other warning
  };
  for (const Case& c : {Case{{"embed", vectors, texts, file}},
                        Case{{"classify", tiny("distilbert_cls").string(), texts, file}},
                        Case{{"zero-shot", tiny("distilbert_nli").string(), "--labels", "a,b", texts, file}},
                        Case{{"tag", tiny("bert_ner").string(), texts, file}},
                        Case{{"tokenize", vectors, texts, file}}, Case{{"similarity", vectors, texts, file}},
                        Case{{"compare", vectors, vectors, "--no-speed", "--engine", "cpu", "--texts", file}},
                        Case{{"sensitivity", vectors, "--q-group-size", "32", "--texts", file}, 30, false},
                        Case{{"convert", vectors, "--target-bits", "8", "--mlx-path",
                              (folder / "out").string(), "--dry-run", "--texts", file},
                             30,
                             false}}) {
    const auto run = [&](std::vector<std::string> more) {
      std::vector<std::string> arguments = c.command;
      arguments.insert(arguments.end(), more.begin(), more.end());
      return run_program(arguments);
    };
    const char* const kSaid = "t.tsv: none of the columns that its first line names";
    for (const char* header : {"stars\treview", "stars\tTEXT"}) {
      put(header, c.rows);
      EXPECT_THAT(run({}).err, HasSubstr(kSaid)) << c.command[0];
      EXPECT_EQ(run({"--strict"}).status, 9) << c.command[0];
    }
    put("stars\ttext", c.rows);
    EXPECT_THAT(run({}).err, Not(HasSubstr(kSaid))) << c.command[0];
    if (c.quiet) {
      EXPECT_EQ(run({"--strict"}).status, 0) << c.command[0];
    }
  }
  const auto from_stdin = [&](const std::string& rows) {
    return run_program({"embed", vectors, "--input", "-", "--input-format", "tsv", "--strict"}, rows);
  };
  EXPECT_EQ(from_stdin("stars\treview\n1\tcat\n").status, 9);
  EXPECT_EQ(from_stdin("stars\ttext\n1\tcat\n").status, 0);
}

TEST(GoldLabelsShared, AreNumbersWhereNotAllAreNames) {
  if (!fs::exists(kCases)) GTEST_SKIP() << kCases << " is not there";
  const auto accuracy = [](const char* data) {
    return result({"evaluate", (kCases / "real-B39/stars").string(), "--task", "classification", "--data",
                   (kCases / "real-B39" / data).string(), "--engine", "cpu",
                   "--json"})["metrics"]["accuracy"]["value"];
  };
  EXPECT_EQ(accuracy("ids.jsonl"), 0.5);
  EXPECT_EQ(accuracy("d.jsonl"), 0.5) << "the same classes by name";
}

}  // namespace
}  // namespace mlxe::test::meaning_test
