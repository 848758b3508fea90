// `mlx-encoder bench` as a user runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "run_program.h"

namespace mlxe::test::bench_test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

const std::string kBert = MLXE_TEST_DATA "/tiny/bert";
const std::string kDistilBert = MLXE_TEST_DATA "/tiny/distilbert";

TEST(Bench, TimesEachModelAtEachShape) {
  const Outcome o = run_program({"bench", kBert, kDistilBert + "/", "--shapes", "1x3,2x8", "--seconds",
                                 "0.01", "--threads", "1", "--engine", "cpu", "--json"});
  ASSERT_EQ(o.status, 0) << o.err;
  const json j = json::parse(o.out);
  for (const char* peak : {"peak_gflops_float32", "peak_gops_int8", "peak_gflops_bf16", "peak_read_gb_per_s"})
    EXPECT_GT(j[peak].get<double>(), 0) << peak;
  ASSERT_EQ(j["results"].size(), 4U);
  const char* const expected[][2] = {
      {"bert", "1x3"}, {"bert", "2x8"}, {"distilbert", "1x3"}, {"distilbert", "2x8"}};
  for (size_t i = 0; i < 4; ++i) {
    const json& r = j["results"][i];
    EXPECT_EQ(r["model"], expected[i][0]);
    EXPECT_EQ(r["shape"], expected[i][1]);
    EXPECT_EQ(r["threads"], 1);
    EXPECT_EQ(r["engine"], "cpu");
    EXPECT_NE(r["variant"], "");
    EXPECT_GE(r["runs"].get<int>(), 5);
    EXPECT_GT(r["min_ms"].get<double>(), 0);
    EXPECT_LE(r["min_ms"].get<double>(), r["p50_ms"].get<double>());
    EXPECT_LE(r["p50_ms"].get<double>(), r["p95_ms"].get<double>());
    EXPECT_LE(r["p95_ms"].get<double>(), r["p99_ms"].get<double>());
    EXPECT_GT(r["cold_start_ms"].get<double>(), r["min_ms"].get<double>());
    EXPECT_LE(r["loaded_bytes"].get<uint64_t>(), r["peak_bytes"].get<uint64_t>());
    const double tokens = i % 2 == 0 ? 3 : 16;
    EXPECT_NEAR(r["tokens_per_s"].get<double>() * r["p50_ms"].get<double>() / 1000, tokens, 1e-6 * tokens);
  }
  // Operations are exact: tiny/bert has LAYERS layers of 4 D x D matrices and two D x F ones.
  const json config = json::parse(read_file(kBert + "/config.json"));
  const double d = config["hidden_size"], f = config["intermediate_size"],
               layers = config["num_hidden_layers"];
  const double values = layers * (4 * d * d + 2 * d * f);
  for (int i = 0; i < 2; ++i) {
    const json& r = j["results"][static_cast<size_t>(i)];
    EXPECT_EQ(r["operations"].get<double>(), 2 * (i == 0 ? 3 : 16) * values);
    EXPECT_EQ(r["weight_bytes"].get<double>(), 4 * values);  // float32
    EXPECT_NEAR(r["share_of_reading"].get<double>(),
                4 * values / r["p50_ms"].get<double>() / 1e6 / j["peak_read_gb_per_s"].get<double>(), 1e-9);
  }
}

TEST(Bench, NamesTheActivationsInUse) {
  const TemporaryFolder folder;
  const std::string converted = folder / "converted";
  ASSERT_EQ(run_program({"convert", kBert, "--mlx-path", converted, "-q", "--q-group-size", "32"}).status, 0);
  for (const char* activations : {"int8", "bf16", "f32"}) {
    const Outcome o = run_program({"bench", converted, "--shapes", "1x4", "--seconds", "0", "--engine", "cpu",
                                   "--activations", activations, "--json"});
    ASSERT_EQ(o.status, 0) << o.err;
    const json j = json::parse(o.out), &r = j["results"][0];
    EXPECT_EQ(r["activations"], activations);
    // The peak is that of the run's type of activations.
    const char* peak = activations == std::string("int8")   ? "peak_gops_int8"
                       : activations == std::string("bf16") ? "peak_gflops_bf16"
                                                            : "peak_gflops_float32";
    EXPECT_NEAR(r["share_of_peak"].get<double>(), r["gops"].get<double>() / j[peak].get<double>(), 1e-9);
  }
}

// A layer has 4 D^2 + 2 D F weights. In the last layer, tokens other than the first use only 2 D^2: keys
// and values.
TEST(Bench, TimesHeadsOfTheFirstTokenAlone) {
  double operations[2];
  for (const bool first : {false, true}) {
    std::vector<std::string> arguments{"bench", kBert, "--shapes", "2x8", "--seconds", "0", "--json"};
    if (first) arguments.emplace_back("--first-token");
    const Outcome o = run_program(arguments);
    ASSERT_EQ(o.status, 0) << o.err;
    const json j = json::parse(o.out);
    EXPECT_EQ(j["computed"], first ? "first_token" : "all_tokens");
    operations[first] = j["results"][0]["operations"];
  }
  const json config = json::parse(std::ifstream(std::filesystem::path(kBert) / "config.json"));
  const double d = config["hidden_size"], f = config["intermediate_size"];
  EXPECT_EQ(operations[0] - operations[1], 2 * 14 * (2 * d * d + 2 * d * f));
  const Outcome o = run_program({"bench", MLXE_TEST_DATA "/tiny/distilbert", "--first-token"});
  EXPECT_EQ(o.status, 2);
  EXPECT_THAT(o.err, HasSubstr("neither a classifier nor a pooler"));
}

TEST(Bench, PrintsATable) {
  const Outcome o =
      run_program({"bench", kBert, "--shapes", "2x8", "--seconds", "0", "--threads", "1", "--engine", "cpu"});
  ASSERT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.out, AllOf(HasSubstr("p50 ms"), HasSubstr("2x8"), HasSubstr("cpu engine"),
                           HasSubstr("GOP/s of f32 products"), HasSubstr("GB/s read from memory")));
}

TEST(Bench, ABadShapeIsOneSentence) {
  for (const char* shape :
       {"8", "x8", "8x", "0x8", "8x-1", "8x8x8", "axb", "1048576x2", "99999999999999999999x1"}) {
    const Outcome o = run_program({"bench", kBert, "--shapes", shape});
    EXPECT_EQ(o.status, 2) << shape;
    EXPECT_THAT(o.err, AllOf(HasSubstr(std::string("shape \"") + shape + "\""), HasSubstr("such as 8x32")));
    EXPECT_EQ(std::count(o.err.begin(), o.err.end(), '\n'), 1) << o.err;
    EXPECT_EQ(o.out, "");
  }
}

TEST(Bench, ATextLongerThanTheModelTakesIsRefused) {
  const Outcome o =
      run_program({"bench", kBert, "--shapes", "1x4,1x4000", "--seconds", "0", "--engine", "cpu"});
  EXPECT_EQ(o.status, 2);
  EXPECT_THAT(o.err, AllOf(HasSubstr("1x4000"), HasSubstr("at most")));
}

TEST(Bench, AMissingFolderIsTheProcessesError) {
  const Outcome o = run_program({"bench", kBert + "-not", "--seconds", "0"});
  EXPECT_EQ(o.status, 4);
  EXPECT_THAT(o.err, HasSubstr("bert-not"));
}

}  // namespace
}  // namespace mlxe::test::bench_test
