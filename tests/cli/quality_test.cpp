// Quality gates in a file: convert, compare and evaluate with one quality.toml.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "json_schema.h"
#include "run_program.h"
#include "test_files.h"

namespace mlxe::test::quality_test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const char* const kOriginal = MLXE_TEST_DATA "/tiny/st_mean_norm";
const char* const kCommitted = MLXE_TEST_DATA "/quality/quality.toml";
const char* const kTexts =
    "The cat sat on the warm piano.\nTake the second road along the river.\nA question\nThe river sat.\n"
    "A warm road\nThe second question along the piano\n";

class QualityFile : public testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& content) {
    write_file(folder_ / name, content);
    return (folder_ / name).string();
  }
  std::string out(const std::string& name) { return (folder_ / name).string(); }
  Outcome convert(const std::string& name, const char* bits, const std::string& gates,
                  std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"convert", kOriginal,        "--mlx-path", out(name), "-q", "--q-bits",
                                       bits,      "--q-group-size", "32",         "--gates", gates};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  }
  Outcome compare(const std::string& name, const std::string& gates, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"compare",  kOriginal, out(name), "--texts", file("t.txt", kTexts),
                                       "--engine", "cpu",     "--gates", gates};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  }

  TemporaryFolder folder_;
};

TEST_F(QualityFile, TheCommittedGatesHoldAndAWorseConversionFailsThem) {
  for (const auto& [name, bits] : {std::pair("tiny-8bit", "8"), std::pair("tiny-4bit", "4")}) {
    const Outcome made = convert(name, bits, kCommitted, {"--calibrate", "none"});
    ASSERT_EQ(made.status, 0) << made.err;
    const Outcome held = compare(name, kCommitted, {"--no-speed", "--strict"});
    EXPECT_EQ(held.status, 0) << held.err << held.out;
  }
  // Two bits where eight are expected.
  ASSERT_EQ(convert("damaged-8bit", "2", kCommitted, {"--calibrate", "none"}).status, 0)
      << "fewer bits are never too large";
  const Outcome failed = compare("damaged-8bit", kCommitted, {"--no-speed", "--json"});
  EXPECT_EQ(failed.status, 3);
  EXPECT_THAT(failed.err, AllOf(HasSubstr("gate pooled_vector.cosine failed: 0."),
                                HasSubstr("expected at least 0.999"), HasSubstr("quality.toml:10")));
  const json j = json::parse(failed.out);
  EXPECT_EQ(j["passed"], false);
  EXPECT_THAT(j["verdict"].get<std::string>(), HasSubstr("pooled_vector.cosine"));
}

TEST_F(QualityFile, ConvertWritesNothingThatIsTooLarge) {
  const Outcome o = convert("tiny", "8", file("q.toml", "[gates]\nsize.weight_bytes = \"1 KiB\"\n"));
  EXPECT_EQ(o.status, 3);
  EXPECT_THAT(o.err, AllOf(HasSubstr("gate size.weight_bytes failed"), HasSubstr("q.toml:2")));
  EXPECT_FALSE(std::filesystem::exists(out("tiny")));
  EXPECT_EQ(convert("tiny", "8", file("q.toml", "[gates]\nsize.weight_bytes = \"1 MiB\"\n")).status, 0);
}

TEST_F(QualityFile, WhatIsTooLargeIsNotCalibratedFirst) {
  const Outcome o = convert(
      "tiny", "4", file("q.toml", "[gates]\nsize.weight_bytes = \"1 KiB\"\ncalibration.error = 0.9\n"));
  EXPECT_EQ(o.status, 3);
  EXPECT_THAT(o.err, AllOf(HasSubstr("gate size.weight_bytes failed"), Not(HasSubstr("calibrat"))));
  EXPECT_FALSE(std::filesystem::exists(out("tiny")));
}

TEST_F(QualityFile, ConvertSaysItsGatesInJson) {
  for (const auto& [limit, status] : {std::pair{"1 KiB", 3}, {"1 MiB", 0}}) {
    const std::string gates =
        file("q.toml", fmt::format("[gates]\nsize.weight_bytes = \"{}\"\nlabels.flips = 0.1\n", limit));
    const Outcome o = convert("tiny", "8", gates, {"--json"});
    EXPECT_EQ(o.status, status) << o.err;
    const json j = json::parse(o.out);
    ASSERT_EQ(j["gates"].size(), 1u);
    EXPECT_EQ(j["gates"][0]["name"], "size.weight_bytes");
    EXPECT_EQ(j["gates"][0]["passed"], status == 0);
    EXPECT_EQ(j["bytes"].is_null(), status != 0) << "what fails was not written";
    EXPECT_EQ(j["unmeasured_gates"].size(), 1u);
  }
  EXPECT_FALSE(
      json::parse(convert("tiny", "8", file("q.toml", "[gates]\n"), {"--json"}).out)["gates"].is_null());
}

TEST_F(QualityFile, CalibrationIsHeldAgainstItsLayersErrors) {
  const std::string texts = file("t.txt", kTexts);
  const Outcome loose = convert("tiny", "4", file("q.toml", "[gates]\ncalibration.error = 1\n"),
                                {"--calibrate", texts, "--method", "rtn"});
  EXPECT_EQ(loose.status, 0) << loose.err;
  const Outcome tight = convert("tiny", "4", file("q.toml", "[gates]\ncalibration.error = 1e-9\n"),
                                {"--calibrate", texts, "--method", "rtn", "--force"});
  EXPECT_EQ(tight.status, 3);
  EXPECT_THAT(tight.err, HasSubstr("gate calibration.error failed"));
}

TEST_F(QualityFile, AMistakeIsSaidBeforeAnyWork) {
  const Outcome o = compare("nowhere", file("q.toml", "[gates]\npooled_vector.cosinus = 0.9\n"));
  EXPECT_EQ(o.status, 6);
  EXPECT_THAT(o.err, AllOf(HasSubstr("q.toml:2: no gate \"pooled_vector.cosinus\""), HasSubstr("cosine_p1")));
}

TEST_F(QualityFile, WhatWasNotMeasuredIsAWarningAndUnderStrictAnError) {
  ASSERT_EQ(convert("tiny", "8", kCommitted).status, 0);
  const std::string gates = file("q.toml", "[gates]\nlatency_ms.p50 = 1000\n");
  const Outcome said = compare("tiny", gates, {"--no-speed"});
  EXPECT_EQ(said.status, 0) << said.err;
  EXPECT_THAT(said.err, AllOf(HasSubstr("q.toml:2"), HasSubstr("latency_ms.p50 was not measured")));
  EXPECT_THAT(said.out, HasSubstr("Not measured here: latency_ms.p50"));
  EXPECT_EQ(compare("tiny", gates, {"--no-speed", "--strict"}).status, 9);
}

TEST_F(QualityFile, TimeAndMemoryAreHeldAgainstABaseline) {
  ASSERT_EQ(convert("tiny", "8", kCommitted).status, 0);
  const std::string gates =
      file("q.toml", "baseline = \"base.json\"\n[gates]\nmemory.peak_bytes = { growth = 1.0 }\n");
  EXPECT_EQ(compare("tiny", gates, {"--seconds", "0.05"}).status, 4) << "no baseline yet";
  const Outcome saved =
      compare("tiny", kCommitted, {"--seconds", "0.05", "--save-baseline", out("base.json")});
  ASSERT_EQ(saved.status, 0) << saved.err;
  const Outcome held = compare("tiny", gates, {"--seconds", "0.05", "--json"});
  EXPECT_EQ(held.status, 0) << held.err;
  // Measured output with time and memory follows the schema as well.
  const JsonSchema schema(json::parse(read_file(MLXE_SOURCE_DIR "/docs/json/compare.schema.json")));
  EXPECT_EQ(schema.findings(json::parse(held.out)), "");

  json base = json::parse(read_file(out("base.json")));
  base["runs"][0]["values"]["memory.peak_bytes"] = 1000;
  base["runs"][0]["version"] = "0.0.1";
  write_file(out("base.json"), base.dump());
  const Outcome grown = compare("tiny", gates, {"--seconds", "0.05"});
  EXPECT_EQ(grown.status, 3);
  EXPECT_THAT(grown.err, AllOf(HasSubstr("gate memory.peak_bytes failed"), HasSubstr("expected at most 2000"),
                               HasSubstr("200 % of 1000, found by mlx-encoder 0.0.1")));
}

TEST_F(QualityFile, EvaluateIsHeldAgainstScoresAndFlips) {
  const std::string data =
      file("d.tsv",
           "text\ttext_pair\tscore\nThe cat sat.\tThe river sat.\t3\nA road\tA piano\t1\n"
           "A warm road\tA warm river\t4\nThe question\tThe second question\t5\n");
  const auto evaluate = [&](const std::string& gates, std::vector<std::string> more) {
    std::vector<std::string> arguments{"evaluate", kOriginal,    "--original", kOriginal,
                                       "--task",   "similarity", "--data",     data,
                                       "--engine", "cpu",        "--gates",    gates};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  };
  const std::string base = out("base.json");
  const Outcome held = evaluate(file("q.toml", "[gates]\ntask.spearman_drop = 0\ntask.spearman = -1\n"),
                                {"--save-baseline", base});
  EXPECT_EQ(held.status, 0) << held.err;
  EXPECT_TRUE(json::parse(read_file(base))["runs"][0]["values"].contains("task.spearman"));
  const Outcome failed =
      evaluate(file("q.toml", "[gates]\ntask.spearman = 1.5\nsize.weight_bytes = 1\n"), {"--json"});
  EXPECT_EQ(failed.status, 3);
  const json found = json::parse(failed.out);
  ASSERT_EQ(found["gates"].size(), 1u);
  EXPECT_EQ(found["gates"][0]["name"], "task.spearman");
  EXPECT_EQ(found["gates"][0]["passed"], false);
  EXPECT_EQ(found["gates"][0]["value"], found["metrics"]["spearman"]["value"]);
  EXPECT_EQ(found["unmeasured_gates"], json::array({"size.weight_bytes"}));
  EXPECT_THAT(failed.err, AllOf(HasSubstr("gate task.spearman failed"), HasSubstr("expected at least 1.5")));
}

TEST_F(QualityFile, TheReportShowsWhereALimitComesFrom) {
  ASSERT_EQ(convert("tiny-4bit", "4", kCommitted).status, 0);
  const std::string report = out("r.html");
  ASSERT_EQ(compare("tiny-4bit", kCommitted, {"--no-speed", "--report", report}).status, 0);
  const std::string html = read_file(report);
  EXPECT_THAT(html, AllOf(HasSubstr("quality.toml:"), HasSubstr("similarities of texts"),
                          HasSubstr("What is stored how"), Not(HasSubstr("<script"))));
}

}  // namespace
}  // namespace mlxe::test::quality_test
