// The commands qa and choose: what they print and refuse.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "json_lines.h"
#include "model_folders.h"
#include "run_program.h"

namespace mlxe::test::qa_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::string kModel = tiny("bert_qa").string(), kChooser = tiny("roberta_choice").string();

using Command = std::vector<std::string>;

// The command on the cpu engine in float32.
Outcome run(Command command, const Command& more, const std::string& input = {}) {
  for (const char* exact : {"--engine", "cpu", "--activations", "f32"}) command.push_back(exact);
  command.insert(command.end(), more.begin(), more.end());
  return run_program(command, input);
}

void expect_answers(const json& found, const json& golden) {
  ASSERT_EQ(found.size(), golden.size());
  for (size_t i = 0; i < found.size(); ++i) {
    for (const char* key : {"text", "begin", "end"}) EXPECT_EQ(found[i][key], golden[i][key]);
    EXPECT_NEAR(found[i]["score"].get<double>(), golden[i]["score"].get<double>(), 1e-4);
  }
}

// The pipeline's options are the command's, under nearly the same names.
TEST(QaCommand, PrintsWhatThePipelineAnswers) {
  for (const json& c : read_json(tiny("bert_qa") / "answers.json")) {
    SCOPED_TRACE(c.dump());
    Command options{"--json", "--strict", "--question", c["question"], "--context", c["context"]};
    for (const auto& [key, value] : c["options"].items()) {
      if (key == "max_question_len") continue;
      std::string name = key == "handle_impossible_answer" ? "no_answer"
                         : key == "align_to_words"         ? "no_align_to_words"
                                                           : key;
      std::ranges::replace(name, '_', '-');
      options.push_back("--" + name);
      if (!value.is_boolean()) options.push_back(value.dump());
    }
    const std::vector<json> lines = json_lines(run({"qa", kModel}, options));
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_EQ(lines[0]["index"], 0);
    expect_answers(lines[0]["answers"], c["answers"]);
  }
}

TEST(QaCommand, ReadsFilesOfQuestionsAndContexts) {
  const TemporaryFolder folder;
  const json cases = read_json(tiny("bert_qa") / "answers.json");
  std::string tsv = "id\tquestion\tcontext\n", jsonl;
  for (int copy = 0; copy < 2; ++copy) {
    tsv += fmt::format("{}\t{}\t{}\n", copy, cases[0]["question"].get<std::string>(),
                       cases[0]["context"].get<std::string>());
    jsonl += json{{"context", cases[0]["context"]}, {"query", cases[0]["question"]}}.dump() + "\n";
  }
  write_file(folder / "q.tsv", tsv);
  write_file(folder / "q.jsonl", jsonl);
  for (const char* file : {"q.tsv", "q.jsonl"}) {
    const auto lines = json_lines(run({"qa", kModel}, {"--json", "-i", folder / file}));
    ASSERT_EQ(lines.size(), 2u) << file;
    EXPECT_EQ(lines[1]["index"], 1);
    for (const json& line : lines) expect_answers(line["answers"], cases[0]["answers"]);
  }
  // Texts of arguments, a file or standard input, and one question.
  const std::string question = cases[0]["question"], context = cases[0]["context"];
  for (const Outcome& o : {run({"qa", kModel}, {"--json", "--question", question, context, context}),
                           run({"qa", kModel}, {"--json", "--question", question, "-i", "-"},
                               context + "\n" + context + "\n")}) {
    const auto lines = json_lines(o);
    ASSERT_EQ(lines.size(), 2u);
    for (const json& line : lines) expect_answers(line["answers"], cases[0]["answers"]);
  }
}

TEST(QaCommand, PrintsAnswersForPeople) {
  const Outcome o =
      run({"qa", kModel}, {"--question", "What?", "--context", "bread", "--no-answer", "--top-k", "3"});
  EXPECT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.out, AllOf(HasSubstr("What?  |  bread\n  "), HasSubstr("0 to 5       bread\n"),
                           HasSubstr("(no answer)\n")));
}

// A class token in the question is no place for an answer.
TEST(QaCommand, AnswersAreInTheContext) {
  const Outcome o =
      run({"qa", kModel}, {"--question", "where [CLS] is [SEP] the cat [CLS]", "--context",
                           "the [CLS] cat [SEP] sat [CLS]", "--no-answer", "--top-k", "10", "--json"});
  for (const json& line : json_lines(o)) {
    const json answers = line["answers"];
    for (const json& a : answers) EXPECT_LE(a["begin"].get<int>(), a["end"].get<int>()) << a;
  }
}

TEST(QaCommand, RefusesWhatItCantAnswer) {
  const TemporaryFolder folder;
  write_file(folder / "own.tsv", "question\tcontext\nWhat?\tbread\n");
  write_file(folder / "bare.jsonl", "{\"question\": \"What?\"}\n");
  write_file(folder / "number.jsonl", "{\"question\": \"What?\", \"context\": 3}\n");
  write_file(folder / "list.jsonl", "{\"question\": [\"What?\"], \"context\": \"bread\"}\n");
  const auto refused = [](const Outcome& o, int status, const std::string& said) {
    EXPECT_EQ(o.status, status) << o.err;
    EXPECT_THAT(o.err, HasSubstr(said));
    EXPECT_EQ(std::ranges::count(o.err, '\n'), 1) << o.err;
  };
  refused(run({"qa", kModel}, {"bread"}), 2, "text 1: found no question; give --question");
  refused(run({"qa", kModel}, {"--question", "What?"}), 2, "no texts were given");
  refused(run({"qa", kModel}, {"--question", "What?", "--context", "a", "b"}), 2,
          "--context and other contexts");
  refused(run({"qa", kModel}, {"--question", "What?", "-i", folder / "own.tsv"}), 2,
          "own.tsv: line 2: the row has a question of its own");
  refused(run({"qa", kModel}, {"-i", folder / "bare.jsonl"}), 6, "bare.jsonl: line 1: found no context");
  refused(run({"qa", kModel}, {"-i", folder / "number.jsonl"}), 6, "line 1: \"context\" is not a string");
  refused(run({"qa", kModel}, {"-i", folder / "list.jsonl"}), 6, "line 1: \"question\" is not a string");
  refused(run({"qa", kModel}, {"--question", "", "--context", "bread"}), 6, "text 1: the question is empty");
  refused(run({"qa", kModel}, {"--question", "What?", "bread", "--max-seq-len", "99"}), 2,
          "max_seq_len: found 99, expected at most 40");
  refused(run({"qa", kModel}, {"--question", "What?", "bread", "--top-k", "0"}), 2, "--top-k");
  refused(run({"qa", tiny("bert").string()}, {"--question", "What?", "bread"}), 7,
          "no question answering head that this version computes");
  refused(run({"choose", kModel}, {"a", "b"}), 7, "no multiple choice head");
}

TEST(ChooseCommand, RefusesRowsOfTwoForms) {
  const TemporaryFolder folder;
  const auto said = [&](const json& row, Command more) {
    write_file(folder / "c.jsonl", row.dump() + "\n");
    more.insert(more.end(), {"-i", folder / "c.jsonl"});
    return run({"choose", kChooser}, more);
  };
  EXPECT_THAT(said({{"prompt", "a"}, {"choices", {"b", "c"}}, {"choice1", "x"}}, {}).err,
              HasSubstr("found columns choice1, ... beside other choices"));
  EXPECT_THAT(said({{"text", "a"}, {"choices", {"b", "c"}}}, {"P"}).err,
              HasSubstr("found no \"text\" alone"));
  EXPECT_THAT(run_program({"choose", "--help"}).out, Not(HasSubstr("conll")));
}

TEST(ChooseCommand, PrintsWhatTransformersRates) {
  const TemporaryFolder folder;
  const json cases = read_json(tiny("roberta_choice") / "choices.json");
  std::string jsonl;
  for (const json& c : cases) jsonl += json{{"prompt", c["prompt"]}, {"choices", c["choices"]}}.dump() + "\n";
  write_file(folder / "c.jsonl", jsonl);
  write_file(
      folder / "c.tsv",
      fmt::format("premise\tchoice1\tchoice2\tlabel\n{}\t{}\t{}\t0\n", cases[1]["prompt"].get<std::string>(),
                  cases[1]["choices"][0].get<std::string>(), cases[1]["choices"][1].get<std::string>()));
  const auto expect = [](const json& line, const json& golden) {
    ASSERT_EQ(line["scores"].size(), golden["scores"].size());
    for (size_t i = 0; i < line["scores"].size(); ++i) {
      EXPECT_NEAR(line["scores"][i].get<double>(), golden["scores"][i].get<double>(), 1e-4);
      EXPECT_NEAR(line["logits"][i].get<double>(), golden["logits"][i].get<double>(), 1e-4);
    }
    EXPECT_EQ(line["choice"], golden["choices"][line["best"].get<size_t>()]);
  };
  const auto lines = json_lines(run({"choose", kChooser}, {"--json", "-i", folder / "c.jsonl"}));
  ASSERT_EQ(lines.size(), cases.size());
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i]["index"], i);
    expect(lines[i], cases[i]);
  }
  const auto from_tsv = json_lines(run({"choose", kChooser}, {"--json", "-i", folder / "c.tsv"}));
  ASSERT_EQ(from_tsv.size(), 1u);
  expect(from_tsv[0], cases[1]);
  const std::string prompt = cases[0]["prompt"];
  Command texts{"--json", prompt};
  std::string stdin_lines;
  for (const std::string choice : cases[0]["choices"]) {
    texts.push_back(choice);
    stdin_lines += choice + "\n";
  }
  expect(json_lines(run({"choose", kChooser}, texts)).at(0), cases[0]);
  expect(json_lines(run({"choose", kChooser}, {"--json", prompt, "-i", "-"}, stdin_lines)).at(0), cases[0]);
  const Outcome people = run({"choose", kChooser}, {prompt, "bread", "the river"});
  EXPECT_THAT(people.out, AllOf(HasSubstr(prompt + "\n"), HasSubstr("* "), HasSubstr("  bread\n")));
  // The third prompt is too long.
  EXPECT_EQ(run({"choose", kChooser}, {"--strict", "-i", folder / "c.jsonl"}).status, 9);
}

TEST(ChooseCommand, RefusesWhatItCantRate) {
  const auto refused = [](const std::string& input, int status, const std::string& said) {
    const Outcome o = run({"choose", kChooser}, {"-i", "-", "--input-format", "jsonl"}, input);
    EXPECT_EQ(o.status, status) << o.err;
    EXPECT_THAT(o.err, HasSubstr("standard input: line 1: " + said));
  };
  refused(R"({"prompt": "a"})", 6,
          "found no choices, expected a list \"choices\" or columns choice1, choice2");
  refused(R"({"prompt": "a", "choices": []})", 6, "found no choices");
  refused(R"({"prompt": "a", "choices": ["b", 3]})", 6, "\"choices\" is not a list of strings");
  refused(R"({"prompt": "a", "choices": ["b", ""]})", 6, "choice 2 is empty");
  refused(R"({"choices": ["b"]})", 6, "found no prompt, expected a column prompt or question");
  refused(R"({"prompt": "a", "choice1": 5})", 6, "\"choice1\" is not a string");
  EXPECT_THAT(
      run({"choose", kChooser}, {"a", "-i", "-", "--input-format", "jsonl"}, R"({"prompt": "b"})").err,
      HasSubstr("found no \"text\" alone; leave the prompt out"));
  EXPECT_THAT(run({"choose", kChooser}, {"a"}).err, HasSubstr("no texts were given"));
}

// Other commands say what they do with such models.
TEST(TaskHeads, AreNamedByOtherCommands) {
  const TemporaryFolder folder;
  write_file(folder / "s.tsv", "sentence1\tsentence2\tscore\na\tb\t1\nc\td\t2\n");
  const Outcome evaluated =
      run_program({"evaluate", kModel, "--task", "similarity", "--data", folder / "s.tsv"});
  EXPECT_EQ(evaluated.status, 7);
  EXPECT_THAT(evaluated.err, HasSubstr("a question answering head, which no task evaluates"));
  EXPECT_THAT(run_program({"evaluate", kChooser, "--task", "rerank", "--data", folder / "s.tsv"}).status, 2);
  EXPECT_THAT(run_program({"inspect", kModel}).out, HasSubstr("\nheads: span_logits\n"));
  EXPECT_EQ(json::parse(run_program({"inspect", kChooser, "--json"}).out)["heads"],
            json::array({"choice_logits"}));
  // compare reads logits, pairs at once; a conversion's golden is of them, and notices a changed weight
  for (const auto& [model, output] :
       {std::pair(kModel, "span_logits"), std::pair(kChooser, "choice_logits")}) {
    const std::string q = folder / output;
    ASSERT_EQ(run_program({"convert", model, "-q", "--q-group-size", "32", "--mlx-path", q}).status, 0);
    write_file(folder / "pairs.tsv", "text\ttext_pair\nthe river\tbread was late\nthe cat\tthe piano\n");
    const json c = json::parse(
        run_program({"compare", model, q, "--texts", folder / "pairs.tsv", "--json", "--engine", "cpu"}).out);
    EXPECT_EQ(c["output"]["tensor"], "logits");
    EXPECT_EQ(c["texts"], 2);
    const json v = json::parse(run_program({"verify", q, "--json", "--engine", "cpu"}).out);
    EXPECT_EQ(v["verdict"], "passed");
    EXPECT_EQ(v["output"], output);
    EXPECT_THAT(read_file(fs::path(q) / "README.md"),
                HasSubstr(model == kModel ? "mlx-encoder qa . --question" : "mlx-encoder choose . "));
  }
}

}  // namespace
}  // namespace mlxe::test::qa_test
