// `mlx-encoder compare` as a user runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "format/safetensors.h"
#include "run_program.h"

namespace mlxe::test::compare_test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string tiny(const std::string& name) {
  return std::string(MLXE_TEST_DATA "/tiny/") + name;
}

const char* const kTexts =
    "The cat sat on the warm piano.\nTake the second road along the river.\nA question\n";

// A copy of a folder with every value of one tensor changed.
std::string damaged(const std::string& source, const std::filesystem::path& target, const std::string& tensor,
                    const std::function<float(float)>& change) {
  std::filesystem::copy(source, target, std::filesystem::copy_options::recursive);
  const SafetensorsFile file(source + "/model.safetensors");
  std::vector<TensorSpec> specs;
  for (const TensorView& t : file.tensors()) specs.push_back({t.name, t.dtype, t.shape});
  SafetensorsWriter writer(target / "model.safetensors", specs, file.metadata());
  bool found = false;
  for (const TensorView& t : file.tensors()) {
    std::vector<std::byte> data(t.data.begin(), t.data.end());
    if (t.name == tensor) {
      found = true;
      std::vector<float> values = to_floats(t);
      for (float& v : values) v = change(v);
      std::memcpy(data.data(), values.data(), data.size());
    }
    writer.write(t.name, data);
  }
  writer.finish();
  EXPECT_TRUE(found) << tensor;
  return target.string();
}

class Compare : public testing::Test {
 protected:
  std::string texts(const std::string& name, const std::string& content) {
    write_file(folder_ / name, content);
    return (folder_ / name).string();
  }
  // Runs compare without measuring time, which has its own test.
  Outcome run(const std::string& original, const std::string& quantized, const std::string& file,
              std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"compare", original, quantized, "--texts", file, "--engine", "cpu"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    arguments.push_back("--no-speed");
    return run_program(arguments);
  }

  TemporaryFolder folder_;
};

TEST_F(Compare, AFolderWithItselfIsExactlyTheSame) {
  const Outcome o =
      run(tiny("st_mean_norm"), tiny("st_mean_norm"), texts("t.txt", kTexts), {"--json", "--gate"});
  ASSERT_EQ(o.status, 0) << o.err;
  const json j = json::parse(o.out);
  EXPECT_EQ(j["output"]["tensor"], "pooled_vector");
  EXPECT_EQ(j["output"]["cosine"]["mean"], 1.0);
  EXPECT_EQ(j["output"]["cosine"]["p1"], 1.0);
  EXPECT_EQ(j["output"]["cosine"]["min"], 1.0);
  EXPECT_EQ(j["output"]["mse"], 0.0);
  EXPECT_EQ(j["output"]["max_abs"], 0.0);
  EXPECT_EQ(j["output"]["rows"], 3);
  EXPECT_EQ(j["layers"].size(), 3u);  // the embeddings and two layers
  EXPECT_EQ(j["layers"][0]["name"], "embeddings");
  for (const json& layer : j["layers"]) EXPECT_EQ(layer["max_abs"], 0.0);
  EXPECT_EQ(j["checks"]["quantized"]["deterministic"], true);
  EXPECT_EQ(j["checks"]["quantized"]["batch_equals_single"], true);
  EXPECT_EQ(j["checks"]["quantized"]["batch_tolerance"], 0.0);
  EXPECT_EQ(j["size"]["original"]["bits_per_weight"], 32.0);
  EXPECT_EQ(j["passed"], true);
  EXPECT_THAT(o.err, testing::IsEmpty());
}

TEST_F(Compare, ADamagedLayerFailsTheGateAndIsSeenFromThatLayerOn) {
  const std::string bad = damaged(tiny("st_mean_norm"), folder_ / "bad",
                                  "encoder.layer.1.output.dense.weight", [](float v) { return -3 * v; });
  const std::string file = texts("t.txt", kTexts);
  const Outcome gated = run(tiny("st_mean_norm"), bad, file, {"--json", "--gate"});
  EXPECT_EQ(gated.status, 3);
  EXPECT_THAT(gated.err,
              AllOf(HasSubstr("gate last_hidden_state.cosine failed"), HasSubstr("expected at least")));
  const json j = json::parse(gated.out);
  EXPECT_EQ(j["passed"], false);
  EXPECT_EQ(j["layers"][1]["max_abs"], 0.0);
  EXPECT_GT(j["layers"][2]["max_abs"], 0.1);
  for (const json& gate : j["gates"])
    if (gate["name"] == "last_hidden_state.cosine") {
      EXPECT_EQ(gate["passed"], false);
      EXPECT_LT(gate["value"], gate["limit"]);
    }

  const Outcome told = run(tiny("st_mean_norm"), bad, file);
  EXPECT_EQ(told.status, 0) << "without --gate the verdict is only printed";
  EXPECT_THAT(told.out, AllOf(HasSubstr("FAILED"), HasSubstr("Failed ")));

  const Outcome loose = run(tiny("st_mean_norm"), bad, file,
                            {"--gate", "--gate-cosine", "-1", "--gate-mse", "100", "--gate-max-abs", "100"});
  EXPECT_EQ(loose.status, 0) << loose.err;
  const Outcome one = run(tiny("st_mean_norm"), tiny("st_mean_norm"), file,
                          {"--gate", "--gate-limit", "pooled_vector.cosine=1.5"});
  EXPECT_EQ(one.status, 3);
  EXPECT_THAT(one.err, HasSubstr("gate pooled_vector.cosine failed: 1, expected at least 1.5"));
  const Outcome others = run(tiny("st_mean_norm"), tiny("st_mean_norm"), file,
                             {"--gate", "--gate-limit", "layers.mse=-1", "--gate-limit", "layer_1.cosine=2",
                              "--gate-limit", "similarities.ks=-1"});
  EXPECT_EQ(others.status, 3);
  EXPECT_THAT(others.err, AllOf(HasSubstr("gate layers.mse failed"), HasSubstr("gate layer_1.cosine failed"),
                                HasSubstr("gate similarities.ks failed")));
}

// A constant vector added to all of a model's hides the loss of a conversion from all cosines, but not from
// the other figures.
TEST_F(Compare, DamageIsSeenThoughAllVectorsLieClose) {
  std::string lines;
  for (int i = 0; i < 150; ++i)
    lines += fmt::format("{}{} {} {}{}\n", static_cast<char>('a' + i % 26), static_cast<char>('a' + i % 23),
                         i % 7 == 0 ? "the cat" : "a question", static_cast<char>('a' + i % 5), i);
  const std::string file = texts("many.txt", lines), plain = tiny("st_mean_norm");
  const std::string close = damaged(plain, folder_ / "close", "encoder.layer.1.output.LayerNorm.bias",
                                    [](float v) { return v + 4; });
  const auto figures = [&](const std::string& model, const char* bits) {
    const std::string out = (folder_ / "out").string();
    EXPECT_EQ(run_program({"convert", "-q", "--q-bits", bits, "--q-group-size", "32", model, "--mlx-path",
                           out, "--force"})
                  .status,
              0);
    const Outcome o = run(model, out, file, {"--json", "--gate"});
    json j = json::parse(o.out);
    EXPECT_EQ(o.status, j["passed"].get<bool>() ? 0 : 3);
    return j;
  };
  const auto failed = [](const json& j) {
    std::vector<std::string> names;
    for (const json& gate : j["gates"])
      if (!gate["passed"]) names.push_back(gate["name"]);
    return names;
  };
  const json open = figures(plain, "3"), hidden = figures(close, "3");
  EXPECT_GE(open["vectors"]["texts"], 101);
  EXPECT_EQ(open["vectors"]["neighbours"], 10);
  EXPECT_GT(hidden["vectors"]["mean_cosine"], 0.9);
  EXPECT_GT(hidden["output"]["cosine"]["mean"], open["output"]["cosine"]["mean"]);
  for (const json& j : {open, hidden}) {  // both pass the cosine gate
    EXPECT_THAT(failed(j), Not(testing::Contains("pooled_vector.cosine")));
    EXPECT_THAT(failed(j),
                testing::IsSupersetOf({"pooled_vector.relative_error", "pooled_vector.neighbours_kept"}));
  }
  const double error = open["vectors"]["relative_error"], with_constant = hidden["vectors"]["relative_error"];
  EXPECT_NEAR(with_constant, error, 0.1 * error);
  // The twin: a conversion that loses little passes in both cases.
  EXPECT_THAT(failed(figures(plain, "8")), testing::IsEmpty());
  EXPECT_THAT(failed(figures(close, "8")), testing::IsEmpty());
}

TEST_F(Compare, ATokenizerThatGivesOtherIdsIsAnError) {
  std::filesystem::copy(tiny("st_mean_norm"), folder_ / "other", std::filesystem::copy_options::recursive);
  json tokenizer = json::parse(read_file(folder_ / "other/tokenizer.json"));
  auto& vocabulary = tokenizer["model"]["vocab"];
  std::swap(vocabulary["cat"], vocabulary["river"]);
  write_file(folder_ / "other/tokenizer.json", tokenizer.dump());
  const Outcome o = run(tiny("st_mean_norm"), (folder_ / "other").string(), texts("t.txt", kTexts));
  EXPECT_EQ(o.status, 6);
  EXPECT_THAT(o.err, AllOf(HasSubstr("text 1: "), HasSubstr("tokenize differently"), HasSubstr("\"cat\"")));
}

TEST_F(Compare, AnotherModelIsRefused) {
  const std::string file = texts("t.txt", kTexts);
  for (auto [other, says] :
       {std::pair("bert_prefix", "has 2 layers"), std::pair("bert_f64", "has 32 hidden units"),
        std::pair("st_concat", "vectors have 32 values")}) {
    const Outcome o = run(tiny("st_mean_norm"), tiny(other), file);
    EXPECT_EQ(o.status, 7) << other;
    EXPECT_THAT(o.err, AllOf(HasSubstr(says), HasSubstr("conversion of itself"))) << other;
  }
}

TEST_F(Compare, GoldLabelsGiveAccuracyAndMacroF1) {
  const std::string file = texts("nli.tsv",
                                 "text\ttext_pair\tlabel\n"
                                 "The bread was still warm.\tSomebody had been to the market.\tneutral\n"
                                 "He repairs clocks.\tThe train was late.\tcontradiction\n"
                                 "The rain had closed the road.\tNobody came.\tENTAILMENT\n");
  const std::string bad =
      damaged(tiny("distilbert_nli"), folder_ / "bad", "classifier.weight", [](float v) { return -v; });
  const Outcome o = run(tiny("distilbert_nli"), bad, file, {"--json"});
  ASSERT_EQ(o.status, 0) << o.err;
  const json j = json::parse(o.out);
  EXPECT_EQ(j["output"]["tensor"], "logits");
  EXPECT_TRUE(j["tensors"].contains("probabilities"));
  EXPECT_EQ(j["texts"], 3) << "a classifier reads a pair as one";
  EXPECT_TRUE(j["task"].contains("accuracy"));
  EXPECT_TRUE(j["task"].contains("macro_f1"));
  EXPECT_EQ(j["labels"]["flips"], 3) << "each decision is turned around";
  EXPECT_GT(j["labels"]["kl"], 0);
  EXPECT_EQ(j["layers"].back()["max_abs"], 0.0) << "the damage is in the head alone";
}

TEST_F(Compare, ALabelTheModelHasNotIsNamed) {
  const Outcome o = run(tiny("distilbert_nli"), tiny("distilbert_nli"),
                        texts("nli.tsv", "text\ttext_pair\tlabel\nThe cat\tThe road\tmaybe\n"));
  EXPECT_EQ(o.status, 6);
  EXPECT_THAT(o.err, AllOf(HasSubstr("text 1"), HasSubstr("\"maybe\""), HasSubstr("entailment")));
}

TEST_F(Compare, GoldScoresGiveSpearmanOfBothSides) {
  const std::string file = texts("sts.tsv",
                                 "text\ttext_pair\tscore\n"
                                 "The cat sat.\tThe cat sat.\t5\nThe cat sat.\tA question\t1\n"
                                 "The road along the river\tTake the second road\t3\n");
  const Outcome o = run(tiny("st_mean_norm"), tiny("st_mean_norm"), file, {"--json"});
  ASSERT_EQ(o.status, 0) << o.err;
  const json j = json::parse(o.out);
  EXPECT_EQ(j["texts"], 6) << "an embedding model makes a vector of each text of a pair";
  EXPECT_EQ(j["task"]["spearman"]["original"], j["task"]["spearman"]["quantized"]);
  EXPECT_GT(j["task"]["spearman"]["original"], 0);
  const std::string hex = texts("hex.tsv", "text\tscore\nThe cat\t0x10\nA dog\t1\nThe road\t2\n");
  EXPECT_EQ(run(tiny("st_mean_norm"), tiny("st_mean_norm"), hex, {}).status, 6);
}

TEST_F(Compare, GoldValuesAModelHasNoUseForAreSaidToBeIgnored) {
  const std::string file = texts("t.tsv", "text\tlabel\nThe cat\tanimal\n");
  const Outcome o = run(tiny("st_mean_norm"), tiny("st_mean_norm"), file);
  EXPECT_EQ(o.status, 0);
  EXPECT_THAT(o.err, HasSubstr("gold labels are ignored"));
  EXPECT_EQ(run(tiny("st_mean_norm"), tiny("st_mean_norm"), file, {"--strict"}).status, 9);
}

TEST_F(Compare, LimitAndLinesOfJson) {
  const std::string file = texts("t.jsonl",
                                 "{\"text\": \"The cat\", \"text_pair\": \"The road\", \"score\": 1}\n\n"
                                 "{\"text\": \"A question\", \"text_pair\": \"The river\", \"score\": 2.5}\n"
                                 "{\"text\": \"The train\", \"text_pair\": \"late\", \"score\": \"3\"}\n");
  const Outcome o = run(tiny("st_mean_norm"), tiny("st_mean_norm"), file, {"--json", "--limit", "2"});
  ASSERT_EQ(o.status, 0) << o.err;
  const json j = json::parse(o.out);
  EXPECT_EQ(j["texts"], 4);
  EXPECT_TRUE(j["task"].contains("spearman"));
}

TEST_F(Compare, EmptyTextsAreTextsAndNoTextsAreAnError) {
  EXPECT_EQ(run(tiny("st_mean_norm"), tiny("st_mean_norm"), texts("t.txt", "\nA question\n\n")).status, 0);
  const Outcome none = run(tiny("st_mean_norm"), tiny("st_mean_norm"), texts("none.txt", ""));
  EXPECT_EQ(none.status, 2);
  EXPECT_THAT(none.err, HasSubstr("none.txt: holds no texts"));
  const Outcome header = run(tiny("st_mean_norm"), tiny("st_mean_norm"), texts("none.tsv", "text\tscore\n"));
  EXPECT_EQ(header.status, 2);
}

TEST_F(Compare, MistakesAreOneSentenceAndAStatus) {
  const std::string file = texts("t.txt", kTexts), model = tiny("st_mean_norm");
  struct Case {
    std::vector<std::string> arguments;
    int status;
    const char* says;
  };
  const Case cases[] = {
      {{"compare", model, model}, 2, "--texts"},
      {{"compare", model, model, "--texts", "/nowhere.txt"}, 4, "/nowhere.txt"},
      {{"compare", "/nowhere", model, "--texts", file}, 4, "/nowhere"},
      {{"compare", model, model, "--texts", file, "--gate-limit", "pooled.cosine=1"},
       2,
       "pooled_vector.cosine"},
      {{"compare", model, model, "--texts", file, "--gate-limit", "nonsense"}, 2, "TENSOR.METRIC=LIMIT"},
      {{"compare", model, model, "--texts", file, "--report", "report.pdf"}, 2, ".html or .md"},
      {{"compare", model, model, "--texts", file, "--labels", "gold"}, 2, "no column \"gold\""},
      {{"compare", model, model, "--texts", file, "--engine", "gpu"}, 2, "use auto, mlx or cpu"},
      {{"compare", model, model, "--texts", texts("s.tsv", "text\ttext_pair\tscore\na\tb\thigh\n")},
       6,
       "\"high\" is not a finite number"},
      {{"compare", model, model, "--texts",
        texts("g.jsonl", "{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\"}\n")},
       6,
       "g.jsonl: line 2: \"label\" is missing"},
      {{"compare", model, model, "--texts", texts("l.txt", "caf\xE9\n")}, 6, "l.txt: line 1: byte 4"},
  };
  for (const Case& c : cases) {
    const Outcome o = run_program(c.arguments);
    EXPECT_EQ(o.status, c.status) << o.err;
    EXPECT_THAT(o.err, HasSubstr(c.says));
  }
}

TEST_F(Compare, MeasuresEachModelInAProcessOfItsOwn) {
  const Outcome o =
      run_program({"compare", tiny("st_mean_norm"), tiny("st_mean_norm"), "--texts", texts("t.txt", kTexts),
                   "--engine", "cpu", "--threads", "1", "--seconds", "0.05", "--json"});
  ASSERT_EQ(o.status, 0) << o.err;
  const json j = json::parse(o.out);
  for (const char* side : {"original", "quantized"}) {
    EXPECT_GT(j["memory"][side]["peak_bytes"], 1 << 20);
    EXPECT_GE(j["memory"][side]["peak_bytes"], j["memory"][side]["loaded_bytes"]);
    EXPECT_GT(j["cold_start_ms"][side]["median"], 0);
    EXPECT_EQ(j["cold_start_ms"][side]["repeats"], 3);
    EXPECT_GT(j["latency_ms"][side]["p50"], 0);
    EXPECT_LE(j["latency_ms"][side]["p50"], j["latency_ms"][side]["p99"]);
    EXPECT_GE(j["latency_ms"][side]["passes"], 1);
    EXPECT_GT(j["throughput"][side]["texts_per_second"], 0);
    EXPECT_EQ(j["measured_on"][side]["threads"], 1);
  }
}

TEST_F(Compare, EntersItsFiguresIntoTheModelCardWhenAsked) {
  const std::string converted = (folder_ / "converted").string(), file = texts("t.txt", kTexts);
  const Outcome convert =
      run_program({"convert", tiny("st_mean_norm"), "--mlx-path", converted, "-q", "--q-group-size", "32"});
  ASSERT_EQ(convert.status, 0) << convert.err;
  const std::string before = read_file(converted + "/README.md");
  ASSERT_EQ(run(tiny("st_mean_norm"), converted, file).status, 0);
  EXPECT_EQ(read_file(converted + "/README.md"), before) << "a comparison changes nothing unless asked";
  const Outcome first = run(tiny("st_mean_norm"), converted, file, {"--update-card", "--json"});
  ASSERT_EQ(first.status, 0) << first.err;
  const std::string once = read_file(converted + "/README.md");
  EXPECT_THAT(once, AllOf(HasSubstr("bits a weight instead of 32.00"), HasSubstr("### Gates"),
                          HasSubstr("3 texts with"), Not(HasSubstr("Not measured yet"))));
  // The card has the figures of the comparison, as the table prints them.
  const json figures = json::parse(first.out)["output"]["cosine"];
  char row[100];
  std::snprintf(row, sizeof row, "| pooled\\_vector | %.6f | %.6f | %.6f |", figures["mean"].get<double>(),
                figures["p1"].get<double>(), figures["min"].get<double>());
  EXPECT_THAT(once, HasSubstr(row));
  // The rest of the card is unchanged.
  const std::string begin = "measurements begin -->", end = "<!-- mlx-encoder: measurements end";
  EXPECT_EQ(once.substr(0, once.find(begin)), before.substr(0, before.find(begin)));
  EXPECT_EQ(once.substr(once.find(end)), before.substr(before.find(end)));

  const Outcome second = run(tiny("st_mean_norm"), converted, file, {"--update-card", "--limit", "1"});
  ASSERT_EQ(second.status, 0) << second.err;
  EXPECT_THAT(second.out, HasSubstr("Model card: " + converted + "/README.md"));
  const std::string twice = read_file(converted + "/README.md");
  EXPECT_THAT(twice, AllOf(HasSubstr("1 text with"), Not(HasSubstr("3 texts with"))));
  EXPECT_EQ(twice.find("### Gates"), twice.rfind("### Gates")) << "the second time replaces the first";
  EXPECT_EQ(twice.substr(twice.find(end)), before.substr(before.find(end)));
  EXPECT_FALSE(std::filesystem::exists(converted + "/.README.md.next"));
}

TEST_F(Compare, AFolderWithoutAPlaceForFiguresIsOneErrorBeforeAnythingRuns) {
  const std::string file = texts("t.txt", kTexts), folder = (folder_ / "folder").string();
  std::filesystem::copy(tiny("st_mean_norm"), folder, std::filesystem::copy_options::recursive);
  // The original does not exist, either; that error would come only when the comparison starts.
  const auto refused = [&] { return run((folder_ / "none").string(), folder, file, {"--update-card"}); };
  const Outcome absent = refused();
  EXPECT_EQ(absent.status, 4);
  EXPECT_EQ(absent.out, "");
  EXPECT_EQ(absent.err,
            "mlx-encoder: " + folder +
                "/README.md: no such file; measurements go into the model card that convert writes\n");
  const std::string foreign = "# A card\n<!-- mlx-encoder: measurements end -->\n";
  write_file(folder + "/README.md", foreign);
  const Outcome unmarked = refused();
  EXPECT_EQ(unmarked.status, 6);
  EXPECT_THAT(unmarked.err, HasSubstr("has no place for measurements"));
  EXPECT_EQ(std::ranges::count(unmarked.err, '\n'), 1);
  EXPECT_EQ(read_file(folder + "/README.md"), foreign);
}

TEST_F(Compare, ARealConversionIsJudgedByItsBits) {
  const std::string file = texts("t.txt", kTexts);
  for (auto [bits, limit] : {std::pair("8", 0.995), std::pair("4", 0.98)}) {
    const std::string converted = (folder_ / ("q" + std::string(bits))).string();
    ASSERT_EQ(run_program({"convert", tiny("st_mean_norm"), "--mlx-path", converted, "-q", "--q-bits", bits,
                           "--q-group-size", "32", "--calibrate", "none"})
                  .status,
              0);
    const Outcome o = run(tiny("st_mean_norm"), converted, file, {"--json"});
    ASSERT_EQ(o.status, 0) << o.err;
    const json j = json::parse(o.out);
    EXPECT_DOUBLE_EQ(j["gates"][0]["limit"], limit);
    EXPECT_LT(j["output"]["cosine"]["mean"], 1.0);
    EXPECT_LT(j["size"]["quantized"]["bits_per_weight"], j["size"]["original"]["bits_per_weight"]);
    EXPECT_THAT(j["models"]["quantized"]["scheme"], HasSubstr("affine " + std::string(bits) + "-bit"));
  }
}

TEST_F(Compare, WritesReports) {
  const std::string file = texts("t.txt", "<script>alert(1)</script> & | ` *the cat*\nA question\n");
  const std::string html = (folder_ / "r.html").string(), markdown = (folder_ / "r.md").string();
  ASSERT_EQ(run(tiny("st_mean_norm"), tiny("st_mean_norm"), file, {"--report", html}).status, 0);
  ASSERT_EQ(run(tiny("st_mean_norm"), tiny("st_mean_norm"), file, {"--report", markdown}).status, 0);
  EXPECT_THAT(read_file(html),
              AllOf(HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;"), Not(HasSubstr("<script"))));
  EXPECT_THAT(read_file(html), HasSubstr("--report " + html)) << "the exact command";
  EXPECT_THAT(read_file(markdown),
              HasSubstr("&lt;script\\>alert(1)&lt;/script\\> &amp; \\| \\` \\*the cat\\*"));
}

TEST_F(Compare, TheEndingsOfReportsAreReadInAnyCase) {
  const std::string file = texts("t.txt", "The cat\nA question\n");
  const auto report = [&](const char* name) {
    const std::string path = (folder_ / name).string();
    EXPECT_EQ(run(tiny("st_mean_norm"), tiny("st_mean_norm"), file, {"--report", path}).status, 0) << name;
    return read_file(path);
  };
  for (const char* name : {"r.md", "r.MD", "r.Md"})
    EXPECT_THAT(report(name), testing::StartsWith("# ")) << name;
  for (const char* name : {"r.html", "r.HTML", "r.Html"})
    EXPECT_THAT(report(name), testing::StartsWith("<!DOCTYPE html>")) << name;
  const Outcome o =
      run(tiny("st_mean_norm"), tiny("st_mean_norm"), file, {"--report", (folder_ / "r.MDX").string()});
  EXPECT_EQ(o.status, 2);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "r.MDX"));
}

}  // namespace
}  // namespace mlxe::test::compare_test
