// quality.toml: its content, failing gates, and baselines.
#include "gates/quality.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "compare/gate_values.h"
#include "gates/baseline.h"
#include "gates/gate_names.h"
#include "test_files.h"

namespace mlxe::quality_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class Quality : public testing::Test {
 protected:
  QualityFile read(const std::string& text) {
    test::write_file(folder_ / "q.toml", text);
    return read_quality_file(folder_ / "q.toml");
  }
  std::string error_of(const std::string& text) {
    return test::error_text([&] { read(text); }, ErrorCode::format);
  }
  QualityCheck check(const std::string& text, const Measured& found, std::vector<Gate> gates = {}) {
    warnings_.clear();
    return check_quality(read(text), found, std::move(gates), fixed_,
                         [&](std::string_view w) { warnings_.emplace_back(w); });
  }
  std::vector<std::string> failing(const std::string& text, const Measured& found) {
    std::vector<std::string> names;
    for (const Gate& g : check(text, found).gates)
      if (!g.passed) names.push_back(g.name());
    return names;
  }

  test::TemporaryFolder folder_;
  std::set<std::string> fixed_;
  std::vector<std::string> warnings_;
};

Measured found(GateValues values, const std::string& model = "m-4bit") {
  return {.by = MeasuredBy::compare,
          .model = model,
          .version = "9.9",
          .date = "2026-01-31",
          .machine = "a machine, load 1.0",
          .values = std::move(values)};
}

TEST_F(Quality, every_kind_of_gate_fails_when_it_should_and_only_then) {
  struct Case {
    const char* name;
    const char* limit;
    double last_good, first_bad;
  };
  const double up = 1 + 1e-12, down = 1 - 1e-12;
  for (const auto& [name, limit, good, bad] :
       {Case{"pooled_vector.cosine", "0.98", 0.98, 0.98 * down}, Case{"layers.mse", "1e-3", 1e-3, 1e-3 * up},
        Case{"layer_3.cosine_min", "0.5", 0.5, 0.5 * down}, Case{"embeddings.max_abs", "0", 0, 1e-300},
        Case{"similarities.ks", "0.05", 0.05, 0.05 * up}, Case{"values.ks_p", "0.01", 0.01, 0.01 * down},
        Case{"task.accuracy_drop", "0.005", 0.005, 0.005 * up}, Case{"task.spearman", "0.8", 0.8, 0.8 * down},
        Case{"labels.flips", "0.03", 0.03, 0.03 * up}, Case{"size.bits_per_weight", "4.6", 4.6, 4.6 * up},
        Case{"size.weight_bytes", "\"1 KiB\"", 1024, 1025}, Case{"memory.peak_bytes", "100", 100, 101},
        Case{"latency_ms.p50", "2.5", 2.5, 2.5 * up},
        Case{"throughput.texts_per_second", "90", 90, 90 * down}}) {
    const std::string text = std::string("[gates]\n") + name + " = " + limit + "\n";
    EXPECT_THAT(failing(text, found({{name, good}})), testing::IsEmpty()) << name;
    EXPECT_THAT(failing(text, found({{name, bad}})), ElementsAre(name));
    EXPECT_THAT(failing(text, found({{name, std::nan("")}})), ElementsAre(name)) << "not a number";
  }
}

TEST_F(Quality, a_failure_names_gate_value_limit_and_line) {
  const auto gates = check("\n[gates]\nlabels.flips = 0.03", found({{"labels.flips", 0.05}})).gates;
  ASSERT_EQ(gates.size(), 1u);
  EXPECT_THAT(gates[0].failure(), AllOf(HasSubstr("gate labels.flips failed: 0.05, expected at most 0.03 ("),
                                        HasSubstr("q.toml:3)")));
}

TEST_F(Quality, bytes_are_named_to_the_last) {
  const auto gates =
      check("[gates]\nsize.weight_bytes = \"37 MiB\"", found({{"size.weight_bytes", 69977601}}));
  EXPECT_THAT(gates.gates.at(0).failure(), HasSubstr("failed: 69977601, expected at most 38797312 ("));
}

TEST_F(Quality, mistakes_are_named_with_their_line) {
  EXPECT_THAT(error_of("[gates]\npooled_vector.cosin = 1"),
              AllOf(HasSubstr("q.toml:2: no gate \"pooled_vector.cosin\""), HasSubstr("cosine_p1")));
  EXPECT_THAT(error_of("[gates]\n\npooled.cosine = 1"),
              AllOf(HasSubstr("q.toml:3: no gate"), HasSubstr("pooled_vector")));
  EXPECT_THAT(error_of("[gates]\nlayer_0.mse = 1"), HasSubstr("q.toml:2: no gate"));
  EXPECT_THAT(error_of("[gates]\nlayer_N.mse = 1"), HasSubstr("q.toml:2: no gate"));
  EXPECT_THAT(error_of("[gate]\n"), AllOf(HasSubstr("q.toml:1: unknown key \"gate\""), HasSubstr("gates")));
  EXPECT_THAT(error_of("[[models]]\nname = \"x\""), HasSubstr("q.toml:2: unknown key \"name\""));
  EXPECT_THAT(error_of("[[models]]\n[models.gates]\n"), HasSubstr("has no folder"));
  EXPECT_THAT(error_of("[models]\n"), HasSubstr("[[models]]"));
  EXPECT_THAT(error_of("[gates]\ncosine = 1"), HasSubstr("q.toml:2: \"cosine\": expected TENSOR.METRIC"));
  for (const char* value : {"true", "\"much\"", "[1]", "{}", "{ growth = 0.1 }", "{ drop = -1 }"})
    EXPECT_THAT(error_of(std::string("baseline = \"b\"\n[gates]\nlogits.cosine = ") + value),
                AllOf(HasSubstr("q.toml:3: "), HasSubstr("drop = 0.1")))
        << value;
  EXPECT_THAT(error_of("[gates]\nsize.weight_bytes = \"14 pounds\""), HasSubstr("a size such as"));
  EXPECT_THAT(error_of("[gates]\nlatency_ms.p50 = { growth = 0.1 }"), HasSubstr("add baseline"));
  EXPECT_THAT(error_of("[gates]\nlogits.cosine = inf"), HasSubstr("q.toml:2:"));
}

TEST_F(Quality, a_models_own_limits_come_after_those_of_all) {
  const char* text =
      "[gates]\nlogits.cosine = 0.9\nlogits.mse = 1\n[[models]]\nfolder = \"m-*\"\ngates.logits.cosine = "
      "0.99\n[[models]]\nfolder = \"*-4bit\"\n[models.gates]\nlogits.mse = \"off\"\n";
  const GateValues values{{"logits.cosine", 0.95}, {"logits.mse", 2}};
  EXPECT_THAT(failing(text, found(values)), ElementsAre("logits.cosine"));
  EXPECT_THAT(failing(text, found(values, "m-8bit")), ElementsAre("logits.cosine", "logits.mse"));
  EXPECT_THAT(failing(text, found(values, "other-4bit")), testing::IsEmpty());
}

TEST_F(Quality, moves_and_removes_defaults_but_not_what_was_set_by_hand) {
  const std::vector<Gate> defaults{{"logits", "cosine", 0.9, 0.95, true, {}, {}},
                                   {"logits", "mse", 1, 2, false, {}, {}}};
  const Measured m = found({{"logits.cosine", 0.95}, {"logits.mse", 2}});
  const char* text = "[gates]\nlogits.cosine = 0.99\nlogits.mse = \"off\"";
  const auto gates = check(text, m, defaults).gates;
  ASSERT_EQ(gates.size(), 1u);
  EXPECT_FALSE(gates[0].passed);
  fixed_ = {"logits.cosine", "logits.mse"};
  const auto kept = check(text, m, defaults).gates;
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_TRUE(kept[0].passed);
  EXPECT_FALSE(kept[1].passed);
}

TEST_F(Quality, what_was_not_measured_is_said) {
  const auto result =
      check("[gates]\nlabels.flips = 0.1\ncalibration.error = 0.1\ntask.map_drop = 1", found({}));
  EXPECT_TRUE(result.gates.empty());
  EXPECT_THAT(result.unmeasured, ElementsAre("calibration.error", "labels.flips", "task.map_drop"));
  // compare could have measured the flips. The other two gates belong to convert and evaluate.
  EXPECT_THAT(warnings_, ElementsAre(AllOf(HasSubstr("q.toml:2"), HasSubstr("labels.flips"))));
}

TEST_F(Quality, a_baseline_limits_growth_and_says_who_made_it) {
  const std::filesystem::path file = folder_ / "b.json";
  save_baseline(file, found({{"latency_ms.p50", 2}, {"logits.cosine", 0.9}}));
  const std::string text =
      "baseline = \"b.json\"\n[gates]\nlatency_ms.p50 = { growth = 0.5 }\nlogits.cosine = { drop = 0.1 }\n";
  EXPECT_THAT(failing(text, found({{"latency_ms.p50", 3}, {"logits.cosine", 0.81 + 1e-12}})),
              testing::IsEmpty());
  EXPECT_THAT(failing(text, found({{"latency_ms.p50", 3 + 1e-9}, {"logits.cosine", 0.81 - 1e-9}})),
              ElementsAre("latency_ms.p50", "logits.cosine"));
  const auto gates = check(text, found({{"latency_ms.p50", 4}, {"logits.cosine", 1}})).gates;
  EXPECT_THAT(gates[0].failure(), HasSubstr("150 % of 2, found by mlx-encoder 9.9 on 2026-01-31"));
  EXPECT_TRUE(warnings_.empty());

  Measured elsewhere = found({{"latency_ms.p50", 2}, {"logits.cosine", 1}});
  elsewhere.machine = "another, load 1.0";
  check(text, elsewhere);
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("on another machine (a machine, load 1.0)")));
  EXPECT_THAT(
      test::error_text(
          [&] {
            check(text, found({{"latency_ms.p50", 2}}, "new"));
          },
          ErrorCode::format),
      AllOf(HasSubstr("q.toml:3: "), HasSubstr("no such value of new"), HasSubstr("--save-baseline")));
  std::filesystem::remove(file);
  test::error_text([&] { check(text, found({{"latency_ms.p50", 2}})); }, ErrorCode::not_found);
}

TEST_F(Quality, a_baseline_keeps_other_models_and_commands) {
  const std::filesystem::path file = folder_ / "b.json";
  save_baseline(file, found({{"labels.flips", 1}}));
  save_baseline(file, found({{"labels.flips", 2}}, "other"));
  Measured evaluated = found({{"labels.flips", 3}, {"task.mrr", std::nan("")}});
  evaluated.by = MeasuredBy::evaluate;
  save_baseline(file, evaluated);
  save_baseline(file, found({{"labels.flips", 4}}));
  const Baseline baseline(file);
  EXPECT_EQ(baseline.find("m-4bit", "labels.flips", MeasuredBy::compare)->value, 4);
  EXPECT_EQ(baseline.find("m-4bit", "labels.flips", MeasuredBy::evaluate)->value, 3);
  EXPECT_EQ(baseline.find("other", "labels.flips", MeasuredBy::evaluate)->value, 2);
  EXPECT_FALSE(baseline.find("m-4bit", "task.mrr", MeasuredBy::evaluate)) << "no number, no baseline";
  EXPECT_FALSE(baseline.find("none", "labels.flips", MeasuredBy::compare));
}

TEST_F(Quality, a_file_that_is_no_baseline_is_left_alone) {
  for (const char* text : {"{}", "[]", "{\"runs\": [1]}", "{\"runs\": [{\"model\": 1}]}", "model weights"}) {
    test::write_file(folder_ / "other.json", text);
    test::error_text([&] { save_baseline(folder_ / "other.json", found({})); }, ErrorCode::format);
    EXPECT_EQ(test::read_file(folder_ / "other.json"), text);
  }
}

TEST(GateNames, every_value_found_has_a_gate) {
  Comparison c;
  c.quantized.folder = "m";
  c.output = "logits";
  c.tensors = {{"last_hidden_state", {}}, {"logits", {}}, {"probabilities", {}}, {"pooled_vector", {}}};
  c.layers = {{"embeddings", {}}, {"layer 1", {}}};
  c.drift = {{"similarities", 0, 1, {}, {}}, {"confidences", 0, 1, {}, {}}, {"values", 0, 1, {}, {}}};
  c.labels = LabelDifference{.texts = 1};
  c.task = {{"accuracy", 1, 1}, {"macro_f1", 1, 1}, {"spearman", 1, 1}, {"pearson", 1, 1}};
  c.quantized.measured = Measurement{};
  Evaluation e;
  e.model.folder = "m";
  e.items = 1;
  e.mcnemar = McNemar{};
  for (const char* metric :
       {"spearman", "pearson", "accuracy", "macro_f1", "weighted_f1", "matthews", "span_f1", "span_precision",
        "span_recall", "span_macro_f1", "ndcg@10", "map", "mrr", "recall@1", "recall@10", "recall@100"})
    e.figures.push_back({metric, 1, 1.0, {}});
  Conversion v;
  v.folder = "m";
  v.calibration = {{"a", "rtn", 1, 0.5}, {"b", "rtn", 1, 0.7}};
  EXPECT_EQ(to_gate_values(v).values.at("calibration.error"), 0.7);
  for (const Measured& m : {to_gate_values(c), to_gate_values(e), to_gate_values(v)}) {
    EXPECT_FALSE(m.values.empty());
    for (const auto& [name, value] : m.values) {
      const auto kind = gate_kind(name);
      ASSERT_TRUE(kind) << name;
      EXPECT_TRUE(m.by == MeasuredBy::convert   ? kind->convert
                  : m.by == MeasuredBy::compare ? kind->compare
                                                : kind->evaluate)
          << name;
    }
  }
}

TEST(GateNames, old_names_are_none_of_the_list_and_lead_into_it) {
  ASSERT_EQ(renamed_gate("task.flips"), "labels.flips");
  EXPECT_FALSE(gate_kind("task.flips"));
  EXPECT_TRUE(gate_kind("labels.flips")->matrix());
  EXPECT_FALSE(renamed_gate("labels.flips"));
  EXPECT_FALSE(gate_kind("latency_ms.p50")->matrix()) << "it depends on the machine";
}

TEST(GateValues, of_all_layers_the_worst_counts) {
  Comparison c;
  c.quantized.folder = "m";
  c.layers = {{"embeddings", {}}, {"layer 1", {}}, {"layer 2", {}}};
  c.layers[1].difference.cosine.mean = 0.5;
  c.layers[2].difference.mse = 3;
  const GateValues values = to_gate_values(c).values;
  EXPECT_EQ(values.at("layers.cosine"), 0.5);
  EXPECT_EQ(values.at("layers.mse"), 3);
  EXPECT_EQ(values.at("layer_1.cosine"), 0.5);
  EXPECT_EQ(values.at("embeddings.cosine"), 1);
  c.layers[1].difference.mse = std::nan("");
  EXPECT_TRUE(std::isnan(to_gate_values(c).values.at("layers.mse")));
}

}  // namespace
}  // namespace mlxe::quality_test
