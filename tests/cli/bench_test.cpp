// `mlx-encoder bench` as a user runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "run_program.h"

namespace mlxe::test {
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
  EXPECT_GT(j["peak_gflops_float32"].get<double>(), 0);
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
  EXPECT_EQ(j["results"][1]["operations"].get<double>(), 2 * 16 * layers * (4 * d * d + 2 * d * f));
}

TEST(Bench, NamesTheActivationsInUse) {
  for (const char* activations : {"int8", "f32"}) {
    const Outcome o = run_program({"bench", kBert, "--shapes", "1x4", "--seconds", "0", "--engine", "cpu",
                                   "--activations", activations, "--json"});
    ASSERT_EQ(o.status, 0) << o.err;
    EXPECT_EQ(json::parse(o.out)["results"][0]["activations"], activations);
  }
}

TEST(Bench, PrintsATable) {
  const Outcome o =
      run_program({"bench", kBert, "--shapes", "2x8", "--seconds", "0", "--threads", "1", "--engine", "cpu"});
  ASSERT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.out, AllOf(HasSubstr("p50 ms"), HasSubstr("2x8"), HasSubstr("cpu engine"),
                           HasSubstr("GFLOP/s of float32")));
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
}  // namespace mlxe::test
