// The reports are complete, safe for any texts, and self-contained.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>
#include <vector>

#include "json_schema.h"
#include "mlx_encoder/compare.h"
#include "report/report_text.h"
#include "report/tables.h"
#include "test_files.h"

namespace mlxe::compare_report_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const char* const kHostile = "<img src=x onerror=alert(1)> \"q\" 'a' & </td> \x01 \xFF | pipe\nline";

Difference some(double cosine) {
  Difference d;
  d.rows = 4;
  d.columns = 8;
  d.cosine = {cosine, cosine - 0.01, cosine - 0.02, 1};
  d.mse = 1e-5;
  d.max_abs = 0.02;
  d.relative_max = 0.01;
  return d;
}

Measurement measured(double factor) {
  Measurement m;
  m.engine = "cpu";
  m.variant = "scalar";
  m.threads = 2;
  m.loaded_bytes = static_cast<uint64_t>(50e6 * factor);
  m.peak_bytes = static_cast<uint64_t>(80e6 * factor);
  m.cold_start = {100 * factor, 90 * factor, 110 * factor, 3};
  m.latency = {5 * factor, 7 * factor, 9 * factor, 4 * factor, 6 * factor, 50, 1, 20};
  m.throughput = {200 / factor, 4000 / factor, 190 / factor, 210 / factor, 256, 3};
  return m;
}

Comparison full() {
  Comparison c;
  c.original.folder = std::string("models/a <b>");
  c.quantized.folder = "models/a-4bit";
  c.original.size = {.weight_bytes = 90'000'000,
                     .folder_bytes = 91'000'000,
                     .parameters = 22'700'000,
                     .bits_per_weight = 32,
                     .scheme = "float32",
                     .parts = {{"attention", 30'000'000}, {"embeddings", 60'000'000}},
                     .groups = {{"attention", "float32", 24, 7'500'000, 30'000'000}}};
  c.quantized.size = {.weight_bytes = 13'000'000,
                      .folder_bytes = 14'000'000,
                      .parameters = 22'700'000,
                      .bits_per_weight = 4.6,
                      .scheme = "affine 4-bit g64 float16",
                      .parts = {{"attention", 5'000'000}},
                      .groups = {{"attention", "affine <4>", 24, 7'000'000, 4'000'000}}};
  c.texts = 4;
  c.tokens = 44;
  c.layers = {{"embeddings", some(0.999)}, {"layer 1", some(0.99)}};
  c.tensors = {{"last_hidden_state", some(0.99)}, {"logits", some(0.98)}, {"probabilities", some(0.97)}};
  c.output = "logits";
  c.listed = "probabilities";
  c.text_cosines = {0.99, 0.98, 0.97, 0.9};
  c.worst = {{kHostile, std::string("pair <i>"), 12, 0.9}};
  c.labels = LabelDifference{
      .kl = 0.01,
      .texts = 4,
      .flips = 1,
      .margin_original = 0.5,
      .margin_quantized = 0.4,
      .margin_flipped = 0.1,
      .listed = {{.text = 2, .original = "yes <b>", .quantized = "no", .margin = 0.1, .content = kHostile}},
      .moves = {{"yes <b>", "no", 1}}};
  c.task = {{"accuracy", 0.75, 0.5},
            {"macro_f1", 0.7, 0.4},
            {"spearman", 0.8, std::numeric_limits<double>::quiet_NaN()}};
  c.bits = 4;
  c.gates = {{"logits", "cosine", 0.98, 0.98, true, {}, {}},
             {"probabilities", "mse", 1e-4, 2e-4, false, "q <b>.toml:3", "110 % of <i>"}};
  c.unmeasured = {"labels.flips"};
  c.drift = {{"confidences", 0.25, 0.9, {0.5, 0.6, 0.7, 0.8}, {0.5, 0.6, 0.7, 0.9}}};
  c.warnings = {"a <warning>"};
  c.command = "mlx-encoder compare 'a <b>' c";
  c.machine = "a machine";
  c.version = "0.1.0";
  c.date = "2026-01-01";
  c.original.measured = measured(1);
  c.quantized.measured = measured(0.5);
  return c;
}

// The same of an embedding model.
Comparison embedder() {
  Comparison c = full();
  c.output = c.listed = "pooled_vector";
  c.tensors = {{"last_hidden_state", some(0.99)}, {"pooled_vector", some(0.98)}};
  c.labels.reset();
  c.vectors = VectorSpace{.texts = 5000,
                          .mean_cosine = 0.76,
                          .relative_error = 0.0833,
                          .compared = 4096,
                          .neighbours = 10,
                          .neighbours_kept = 0.8251};
  c.run_mode = RunMode{.activations = "int8", .tensors = c.tensors, .vectors = c.vectors, .task = c.task};
  return c;
}

// Every tag closed and in order.
void expect_balanced(const std::string& html) {
  std::vector<std::string> open;
  const std::regex tag("<(/?)([a-z0-9]+)([^<>]*)>");
  const size_t style = html.find("<style>"), style_end = html.find("</style>");
  const std::string body = html.substr(0, style) + html.substr(style_end + 8);
  for (std::sregex_iterator t(body.begin(), body.end(), tag), end; t != end; ++t) {
    const std::string name = (*t)[2], rest = (*t)[3];
    if (name == "meta" || rest.ends_with("/")) continue;
    if ((*t)[1] == "/") {
      ASSERT_FALSE(open.empty()) << name;
      ASSERT_EQ(open.back(), name);
      open.pop_back();
    } else {
      open.push_back(name);
    }
  }
  EXPECT_TRUE(open.empty());
}

TEST(HtmlReport, IsOnePageThatFetchesNothing) {
  const std::string html = to_html(full());
  EXPECT_THAT(html, testing::StartsWith("<!DOCTYPE html>"));
  for (const char* foreign :
       {"http:", "https:", "src=\"", "href=", "url(", "@import", "<script", "<link", "<img"})
    EXPECT_THAT(html, Not(HasSubstr(foreign))) << foreign;
  EXPECT_THAT(html, HasSubstr("<svg"));
  expect_balanced(html);
}

TEST(HtmlReport, EscapesEveryForeignText) {
  const std::string html = to_html(full());
  EXPECT_THAT(
      html, AllOf(HasSubstr("&lt;img src=x onerror=alert(1)&gt; &quot;q&quot; &#39;a&#39; &amp; &lt;/td&gt;"),
                  HasSubstr("pair &lt;i&gt;"), HasSubstr("a &lt;b&gt;"), HasSubstr("yes &lt;b&gt;"),
                  HasSubstr("a &lt;warning&gt;"), HasSubstr("compare &#39;a &lt;b&gt;&#39; c")));
  EXPECT_EQ(html.find('\x01'), std::string::npos);
  EXPECT_EQ(html.find('\xFF'), std::string::npos);
}

TEST(HtmlReport, SaysWhatFailedAndShowsEveryTable) {
  const Comparison c = full();
  const std::string html = to_html(c);
  EXPECT_THAT(html, AllOf(HasSubstr("<header class=\"failed\">"), HasSubstr("Failed 1 of 2 gates"),
                          HasSubstr("probabilities.mse")));
  for (const Table& t : tables(c)) EXPECT_THAT(html, HasSubstr("<section id=\"" + t.id + "\">"));
  Comparison good = c;
  good.gates.pop_back();
  EXPECT_THAT(to_html(good), AllOf(Not(HasSubstr("class=\"failed\"")), HasSubstr("Passed all 1 gate:")));
}

TEST(HtmlReport, StandsWithoutMeasurementsLabelsOrDifferences) {
  Comparison c = full();
  c.original.measured = c.quantized.measured = std::nullopt;
  c.labels.reset();
  c.task.clear();
  c.worst.clear();
  for (auto* list : {&c.layers, &c.tensors})
    for (NamedDifference& d : *list) d.difference = Difference{.rows = 4, .columns = 8};
  c.text_cosines.assign(4, 1.0);
  expect_balanced(to_html(c));
}

TEST(MarkdownReport, HasATableOfEachWithEqualCells) {
  const Comparison c = full();
  const std::string text = to_markdown(c);
  for (const Table& t : tables(c)) {
    EXPECT_THAT(text, HasSubstr("## " + t.title)) << t.id;
    for (const auto& row : t.rows) EXPECT_EQ(row.size(), t.header.size()) << t.id;
    EXPECT_EQ(t.align.size(), t.header.size()) << t.id;
  }
  EXPECT_THAT(text, AllOf(HasSubstr("&lt;img src=x onerror=alert(1)\\>"), HasSubstr("\\| pipe line"),
                          Not(HasSubstr("<img"))));
}

TEST(Json, HoldsWhatIsPromised) {
  const auto j = nlohmann::json::parse(to_json(full()));
  EXPECT_EQ(j["output"]["tensor"], "logits");
  EXPECT_NEAR(j["output"]["cosine"]["p1"], 0.97, 1e-12);
  EXPECT_EQ(j["output"]["max_abs"], 0.02);
  EXPECT_EQ(j["layers"].size(), 2u);
  EXPECT_EQ(j["gates"][1]["name"], "probabilities.mse");
  EXPECT_EQ(j["gates"][1]["passed"], false);
  EXPECT_EQ(j["size"]["quantized"]["weight_bytes"], 13'000'000);
  EXPECT_EQ(j["memory"]["original"]["peak_bytes"], 80'000'000);
  EXPECT_EQ(j["latency_ms"]["quantized"]["p50"], 2.5);
  EXPECT_EQ(j["labels"]["flipped_texts"][0]["text"], 2);
  EXPECT_TRUE(j["task"]["spearman"]["quantized"].is_null()) << "JSON has no NaN";
}

TEST(Reports, TellOfVectorsBesideTheCosine) {
  const Comparison c = embedder();
  for (const std::string& text : {to_markdown(c), to_card(c), to_html(c)})
    EXPECT_THAT(text, AllOf(HasSubstr("0.0833"), HasSubstr("0.7600"), HasSubstr("nearest 10 texts kept"),
                            HasSubstr("82.51 %"), HasSubstr("an even sample of 4096 texts")));
  EXPECT_THAT(to_card(c), testing::StartsWith("`4.60 bits a weight` · `12.4 MiB, 6.9x smaller` · "
                                              "`cosine 0.9800` · `relative error 0.0833` · "
                                              "`neighbours kept 82.5 %` · "));
  EXPECT_THAT(c.verdict(), HasSubstr("relative error 0.0833, 82.5 % of the nearest 10 kept"));
  expect_balanced(to_html(c));
  auto j = nlohmann::json::parse(to_json(c));
  EXPECT_EQ(j["vectors"]["neighbours_kept"], 0.8251);
  EXPECT_EQ(j["vectors"], j["run_mode"]["vectors"]);
  Comparison infinite = c;
  infinite.vectors->relative_error = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(nlohmann::json::parse(to_json(infinite))["vectors"]["relative_error"].is_null());
}

// Our output follows the published schema, and the schema check finds errors.
TEST(Json, FollowsItsSchema) {
  const test::JsonSchema schema(
      nlohmann::json::parse(test::read_file(MLXE_SOURCE_DIR "/docs/json/compare.schema.json")));
  auto j = nlohmann::json::parse(to_json(full()));
  EXPECT_EQ(schema.findings(j), "");
  EXPECT_EQ(schema.findings(nlohmann::json::parse(to_json(embedder()))), "");
  j.erase("gates");
  j["machine"] = 1;
  j["drift"][0]["sample"] = "noise";
  j["models"]["original"]["more"] = 1;
  j["layers"][1].erase("mse");
  EXPECT_THAT(
      schema.findings(j),
      AllOf(HasSubstr("$: has no \"gates\""), HasSubstr("$.machine: is number, expected [\"string\"]"),
            HasSubstr("$.drift[0].sample: \"noise\" is none of"),
            HasSubstr("$.models.original: more is not described"), HasSubstr("$.layers[1]: has no \"mse\"")));
}

TEST(MarkdownReport, TheCardBeginsWithTheFiguresThatCount) {
  const std::string card = to_card(full());
  EXPECT_THAT(card, testing::StartsWith("`4.60 bits a weight` · `12.4 MiB, 6.9x smaller` · `cosine 0.9700` · "
                                        "`labels changed 25.00 %` · `accuracy 0.5000 of 0.7500` · `gates 1/2 "
                                        "FAILED`\n\n"));
  EXPECT_THAT(card, AllOf(HasSubstr("What is stored how"), HasSubstr("From which label to which"),
                          HasSubstr("Drift"), HasSubstr("110 % of &lt;i")));
}

TEST(ReportText, ShortensByCharactersNotBytes) {
  EXPECT_EQ(shortened("abc", 3), "abc");
  EXPECT_EQ(shortened("abcd", 3), "abc…");
  EXPECT_EQ(shortened("渡し船", 2), "渡し…");
}

TEST(ReportText, KeepsUtf8AndReplacesTheRest) {
  EXPECT_EQ(html_escape("渡 \xE6\xB8 é"), "渡 \xEF\xBF\xBD\xEF\xBF\xBD é");
  EXPECT_EQ(markdown_escape("a_b*c"), "a\\_b\\*c");
}

// The chart is a file of the compared folder: a script in it must not run in the page.
TEST(HtmlReport, ShowsTheChartOfATargetAsAPicture) {
  Comparison c = full();
  EXPECT_THAT(to_html(c), Not(HasSubstr("data:image/svg+xml")));
  c.pareto_chart = "<svg onload=\"alert(1)\"><text>25 %</text></svg>";
  const std::string html = to_html(c);
  EXPECT_THAT(html, AllOf(HasSubstr("src=\"data:image/svg+xml,%3Csvg%20onload%3D%22alert%281%29%22%3E"),
                          HasSubstr("25%20%25%3C%2Ftext%3E%3C%2Fsvg%3E\"")));
  EXPECT_THAT(html, Not(HasSubstr("onload=")));
  expect_balanced(html);
}

}  // namespace
}  // namespace mlxe::compare_report_test
