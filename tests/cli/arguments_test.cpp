// Mistakes in the arguments: one sentence each, JSON under --json, status 2.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "run_program.h"

namespace mlxe::test::arguments_test {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

const std::string kModel = MLXE_TEST_DATA "/tiny/st_mean_norm";

// The text of a usage error. Expects the same text on standard error and in the JSON object.
std::string usage(std::vector<std::string> arguments) {
  const Outcome plain = run_program(arguments);
  EXPECT_EQ(plain.status, 2) << plain.err;
  EXPECT_EQ(plain.out, "");
  EXPECT_THAT(plain.err, AllOf(StartsWith("mlx-encoder: "), EndsWith("\n")));
  const std::string sentence = plain.err.substr(13, plain.err.size() - 14);
  EXPECT_THAT(sentence, Not(HasSubstr("\n")));
  arguments.insert(arguments.begin() + (arguments.empty() ? 0 : 1), "--json");
  const Outcome json = run_program(arguments);
  EXPECT_EQ(json.status, 2);
  if (arguments.size() > 1) {
    const auto object = nlohmann::json::parse(json.out, nullptr, false);
    EXPECT_EQ(object, (nlohmann::json{{"error", {{"code", "usage"}, {"message", sentence}}}})) << json.out;
  }
  return sentence;
}

TEST(Arguments, ACommandThatDoesNotExistSuggestsTheNearest) {
  EXPECT_EQ(usage({"convret", "x"}), "there is no command \"convret\"; did you mean convert?");
  EXPECT_EQ(usage({"zeroshot"}), "there is no command \"zeroshot\"; did you mean zero-shot?");
  EXPECT_THAT(usage({"frobnicate"}), HasSubstr("the commands are convert, dequantize, inspect"));
  EXPECT_THAT(usage({"frobnicate"}), Not(HasSubstr("measure"))) << "it is not for users";
  const Outcome nothing = run_program({});
  EXPECT_EQ(nothing.status, 2);
  EXPECT_THAT(nothing.err, StartsWith("mlx-encoder: give a command: convert, "));
}

TEST(Arguments, AnOptionThatDoesNotExistSuggestsTheNearest) {
  EXPECT_EQ(usage({"convert", "x", "--q-bit", "4"}),
            "convert has no option \"--q-bit\"; did you mean --q-bits?");
  EXPECT_EQ(usage({"convert", "x", "--q-bit=4"}),
            "convert has no option \"--q-bit\"; did you mean --q-bits?");
  EXPECT_EQ(usage({"embed", kModel, "hi", "--thread", "1"}),
            "embed has no option \"--thread\"; did you mean --threads?");
  EXPECT_EQ(usage({"inspect", kModel, "--zzzz"}),
            "inspect has no option \"--zzzz\"; mlx-encoder inspect --help lists them");
  EXPECT_THAT(usage({"embed", kModel, "-a"}), HasSubstr("put all texts after -- if one begins with -"));
  EXPECT_THAT(usage({"embed", kModel, "-a text"}), HasSubstr("put all texts after -- if one begins with -"));
  EXPECT_THAT(usage({"--verson"}),
              HasSubstr("no option \"--verson\" before a command; did you mean --version?"));
}

TEST(Arguments, WhatIsMissingIsNamedWithWhatItIsFor) {
  EXPECT_EQ(usage({"inspect"}),
            "inspect: FOLDER is missing (Model: a folder, a weight file or a name on the hub)");
  EXPECT_THAT(usage({"compare", kModel, kModel}), StartsWith("compare: --texts is missing (File of texts"));
  EXPECT_EQ(usage({"embed", kModel, "hi", "--threads"}), "--threads: its value is missing");
  EXPECT_EQ(usage({"embed", kModel, "hi", "--prompt-name", "--strict"}),
            "--prompt-name: its value is missing; --strict is an option");
}

TEST(Arguments, WhatIsTooMuchIsNamed) {
  EXPECT_EQ(usage({"inspect", kModel, "x"}),
            "inspect: unexpected argument \"x\"; see mlx-encoder inspect --help");
  EXPECT_EQ(usage({"embed", kModel, "hi", "--threads", "1", "--threads", "2"}),
            "--threads: given 2 times; give it once");
  EXPECT_EQ(usage({"embed", kModel, "hi", "--strict=maybe"}), "--strict: takes no value");
}

TEST(Arguments, NumbersAreCheckedInWords) {
  EXPECT_EQ(usage({"embed", kModel, "hi", "--threads", "-1"}),
            "--threads: found \"-1\", expected a number from 0 on");
  EXPECT_EQ(usage({"embed", kModel, "hi", "--threads", "two"}),
            "--threads: found \"two\", expected a whole number");
  EXPECT_EQ(usage({"embed", kModel, "hi", "--threads", "1.5"}),
            "--threads: found \"1.5\", expected a whole number");
  EXPECT_EQ(usage({"embed", kModel, "hi", "--max-length", "0"}),
            "--max-length: found \"0\", expected a number from 1 on");
  for (const char* large : {"99999999999", "99999999999999999999"})
    EXPECT_EQ(usage({"embed", kModel, "hi", "--threads", large}),
              "--threads: \"" + std::string(large) + "\" is out of range");
  EXPECT_EQ(usage({"convert", kModel, "-q", "--calibrate", "default", "--calibrate-limit", "-1"}),
            "--calibrate-limit: found \"-1\", expected a whole number from 0 on");
  EXPECT_EQ(usage({"convert", kModel, "-q", "--q-bits", "0"}),
            "--q-bits: found \"0\", expected a number from 1 on");
  EXPECT_EQ(usage({"evaluate", kModel, "--task", "nli", "--data", "x", "--confidence", "1"}),
            "--confidence: found \"1\", expected a number from 0.5 to 0.9999");
  EXPECT_EQ(run_program({"embed", kModel, "hi", "--threads", "01"}).status, 0) << "decimal, not octal";
}

TEST(Arguments, NoNumericOptionTakesNaNOrInfinity) {
  for (const std::string value : {"nan", "inf", "-inf", "NaN", "1e999", "0x1p3", " 1"}) {
    const std::string says = ": found \"" + value + "\", expected a finite number";
    EXPECT_EQ(usage({"bench", kModel, "--shapes", "1x4", "--seconds", value}), "--seconds" + says);
    for (const std::string option : {"--gate-cosine", "--gate-mse", "--gate-max-abs", "--seconds"})
      EXPECT_EQ(usage({"compare", kModel, kModel, "--texts", "x", option, value}), option + says);
    EXPECT_EQ(usage({"evaluate", kModel, "--task", "nli", "--data", "x", "--confidence", value}),
              "--confidence" + says);
  }
  EXPECT_EQ(usage({"bench", kModel, "--seconds", "1e300"}),
            "--seconds: found \"1e300\", expected a number from 0 to 86400");
}

// The options of every command are read from its help, so that no new option is forgotten.
TEST(Arguments, AnEmptyValueIsAnErrorForEveryOptionOfEveryCommand) {
  const std::string list = run_program({"--help"}).out;
  size_t commands = 0, options = 0;
  for (const std::string command :
       {"convert", "dequantize",   "inspect",      "compare",  "evaluate",  "matrix", "sensitivity",
        "embed",   "embed-sparse", "embed-tokens", "classify", "zero-shot", "tag",    "fill-mask",
        "qa",      "choose",       "similarity",   "tokenize", "doctor",    "bench"}) {
    ASSERT_THAT(list, HasSubstr("\n  " + command + " "));
    ++commands;
    const std::string help = run_program({command, "--help"}).out;
    std::istringstream lines(help);
    for (std::string line; std::getline(lines, line);) {
      const size_t dashes = line.find("--");
      if (!line.starts_with("  -") || dashes == std::string::npos) continue;
      const std::string name = line.substr(dashes, line.find_first_of(" ,", dashes) - dashes);
      const bool takes_value =
          line.find(" TEXT", dashes) != std::string::npos || line.find(" INT", dashes) != std::string::npos ||
          line.find(" UINT", dashes) != std::string::npos || line.find(" FLOAT", dashes) != std::string::npos;
      if (!takes_value || name == "--pair" || name == "--prompt" || name == "--question" ||
          name == "--context")
        continue;  // an empty text may be one
      ++options;
      const Outcome outcome = run_program({command, name, "", "a", "b"});
      EXPECT_EQ(outcome.status, 2) << command << ' ' << name;
      EXPECT_EQ(outcome.err, "mlx-encoder: " + name + ": the value is empty; is a variable unset?\n");
    }
  }
  EXPECT_EQ(commands, 20u);
  EXPECT_GT(options, 80u);
  EXPECT_THAT(usage({"convert", "a", "--gates=", "b"}), "--gates: the value is empty; is a variable unset?");
  EXPECT_THAT(usage({"convert", ""}), "MODEL: the value is empty; is a variable unset?");
  EXPECT_THAT(usage({"embed", "", "hi"}), "model: the value is empty; is a variable unset?");
}

TEST(Arguments, TextsAreTakenAsTheyAre) {
  for (const std::string text : {"[MASK]", "[a, b]", "[]", "compare", "--"}) {
    const Outcome outcome = run_program({"embed", kModel, "--engine", "cpu", "--", text});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out, StartsWith(text + "\n")) << "CLI11 drops brackets";
  }
  const Outcome prompt = run_program({"embed", kModel, "--engine", "cpu", "--prompt", "[x]", "hi", "--json"});
  const Outcome bare = run_program({"embed", kModel, "--engine", "cpu", "--prompt", "x", "hi", "--json"});
  EXPECT_EQ(prompt.status, 0) << prompt.err;
  EXPECT_NE(prompt.out, bare.out);
}

// Texts after "--" join those before it, in every command that takes texts as arguments.
TEST(Arguments, TextsThatBeginWithADashFollowOthers) {
  const std::string data = MLXE_TEST_DATA "/tiny/";
  const std::vector<std::vector<std::string>> commands{
      {"embed", kModel},
      {"classify", data + "distilbert_cls"},
      {"zero-shot", data + "distilbert_nli", "--labels", "the,cat"},
      {"tag", data + "bert_ner"},
      {"similarity", kModel},
      {"tokenize", kModel}};
  for (const std::vector<std::string>& command : commands) {
    SCOPED_TRACE(command.front());
    const auto run = [&](std::vector<std::string> texts) {
      std::vector<std::string> arguments = command;
      arguments.insert(arguments.end(), {"--engine", "cpu", "--json"});
      arguments.insert(arguments.end(), texts.begin(), texts.end());
      const Outcome outcome = run_program(arguments);
      EXPECT_EQ(outcome.status, 0) << outcome.err;
      return outcome.out;
    };
    const std::string all = run({"--", "the cat", "-b", "--json", "--", "embed"});
    EXPECT_NE(all, "");
    EXPECT_EQ(run({"the cat", "--", "-b", "--json", "--", "embed"}), all);
    EXPECT_NE(run({"the cat", "--", "b", "--json", "--", "embed"}), all) << "the dash is part of the text";
  }
}

TEST(Arguments, AfterTheMarkNothingIsAnOption) {
  EXPECT_EQ(usage({"inspect", kModel, "--", "--json"}),
            "inspect: unexpected argument \"--json\"; see mlx-encoder inspect --help");
  const Outcome folder = run_program({"inspect", "--", "--json"});
  EXPECT_EQ(folder.status, 4) << "a folder of that name";
  EXPECT_THAT(folder.err, HasSubstr("--json"));
  // A list of values ends at the mark; an option's only value may be "--".
  EXPECT_EQ(
      run_program({"zero-shot", MLXE_TEST_DATA "/tiny/distilbert_nli", "--labels", "the", "--", "-b"}).status,
      0);
  EXPECT_EQ(run_program({"embed", kModel, "--prompt", "--", "the cat"}).status, 0);
  EXPECT_THAT(usage({"embed", kModel, "--prompt", "--", "-b"}), HasSubstr("embed has no option \"-b\""));
  EXPECT_THAT(run_program({"embed", "--help"}).out, Not(HasSubstr("\x7f")));
}

// What follows a list is not swallowed by it.
TEST(Arguments, AListTakesOneArgument) {
  const std::string nli = MLXE_TEST_DATA "/tiny/distilbert_nli", mlm = MLXE_TEST_DATA "/tiny/bert_mlm";
  const Outcome after = run_program({"zero-shot", nli, "the", "--labels", "cat,dog", "road"});
  const Outcome before = run_program({"zero-shot", "--labels", "cat,dog", nli, "the", "road"});
  EXPECT_EQ(after.status, 0) << after.err;
  EXPECT_EQ(before.out, after.out);
  EXPECT_THAT(after.out, AllOf(HasSubstr("the"), HasSubstr("road"))) << "two texts";
  EXPECT_EQ(run_program({"fill-mask", mlm, "[MASK] the", "--targets", "cat", "[MASK] road"}).out,
            run_program({"fill-mask", mlm, "[MASK] the", "[MASK] road", "--targets", "cat"}).out);
  EXPECT_THAT(usage({"sensitivity", "--bits", "4", kModel}), HasSubstr("--texts is missing"));
  EXPECT_THAT(usage({"compare", "--gate-limit", "x=1", kModel, kModel}), HasSubstr("--texts is missing"));
}

TEST(Arguments, HelpAndVersionArePrintedToStandardOutput) {
  for (const std::vector<std::string>& asked :
       {std::vector<std::string>{"--help"}, {"--version"}, {"convert", "--help"}, {"convert", "-h"}}) {
    const Outcome outcome = run_program(asked);
    EXPECT_EQ(outcome.status, 0);
    EXPECT_NE(outcome.out, "");
    EXPECT_EQ(outcome.err, "");
  }
  EXPECT_THAT(run_program({"convert", "--help"}).out, Not(HasSubstr("e+308"))) << "no limits of a type";
}

}  // namespace
}  // namespace mlxe::test::arguments_test
