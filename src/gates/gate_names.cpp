#include "gates/gate_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "mlx_encoder/gate.h"

namespace mlxe {
namespace {

struct Group {
  const char* name;
  std::vector<std::string_view> at_most, at_least;
  GateKind kind;
};

const std::vector<Group>& groups() {
  static const std::vector<std::string_view> errors{"mse", "max_abs", "relative_max"};
  static const std::vector<std::string_view> cosines{"cosine", "cosine_p1", "cosine_min"};
  static const std::vector<Group> all{
      {"last_hidden_state", errors, cosines, {.compare = true}},
      {"pooled_vector", errors, cosines, {.compare = true}},
      {"pooled_vector", {"relative_error"}, {"neighbours_kept"}, {.compare = true}},
      {"logits", errors, cosines, {.compare = true}},
      {"probabilities", errors, cosines, {.compare = true}},
      {"embeddings", errors, cosines, {.compare = true}},
      {"layers", errors, cosines, {.compare = true}},
      {"layer_N", errors, cosines, {.compare = true}},
      {"similarities", {"ks"}, {"ks_p"}, {.compare = true}},
      {"confidences", {"ks"}, {"ks_p"}, {.compare = true}},
      {"values", {"ks"}, {"ks_p"}, {.compare = true}},
      {"labels", {"kl"}, {}, {.compare = true}},
      {"labels", {"flips"}, {}, {.compare = true, .evaluate = true}},
      {"original", {"repeat_difference", "batch_difference"}, {}, {.compare = true}},
      {"quantized", {"repeat_difference", "batch_difference"}, {}, {.compare = true}},
      {"task",
       {"accuracy_drop", "macro_f1_drop", "spearman_drop", "pearson_drop"},
       {"accuracy", "macro_f1", "spearman", "pearson"},
       {.compare = true, .evaluate = true}},
      {"task",
       {"weighted_f1_drop", "matthews_drop", "span_f1_drop", "span_precision_drop", "span_recall_drop",
        "span_macro_f1_drop", "ndcg@10_drop", "map_drop", "mrr_drop", "recall@1_drop", "recall@10_drop",
        "recall@100_drop"},
       {"weighted_f1", "matthews", "span_f1", "span_precision", "span_recall", "span_macro_f1", "ndcg@10",
        "map", "mrr", "recall@1", "recall@10", "recall@100"},
       {.evaluate = true}},
      {"size", {"weight_bytes", "folder_bytes"}, {}, {.bytes = true, .convert = true, .compare = true}},
      {"size", {"bits_per_weight"}, {}, {.convert = true, .compare = true}},
      {"calibration", {"error"}, {}, {.convert = true}},
      {"memory", {"loaded_bytes", "peak_bytes"}, {}, {.bytes = true, .timed = true, .compare = true}},
      {"latency_ms", {"p50", "p95", "p99"}, {}, {.timed = true, .compare = true}},
      {"cold_start_ms", {"median"}, {}, {.timed = true, .compare = true}},
      {"throughput", {}, {"texts_per_second", "tokens_per_second"}, {.timed = true, .compare = true}}};
  return all;
}

constexpr std::pair<std::string_view, std::string_view> kRenamed[] = {
    {"task.flips", "labels.flips"},
};

// "layer_3" is of the group "layer_N".
std::string_view group_of(std::string_view tensor) {
  constexpr std::string_view kLayer = "layer_";
  if (!tensor.starts_with(kLayer)) return tensor;
  const std::string_view number = tensor.substr(kLayer.size());
  const bool digits = !number.empty() && number[0] != '0' &&
                      std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; });
  return digits ? "layer_N" : tensor;
}

}  // namespace

std::optional<GateKind> gate_kind(std::string_view name) {
  const size_t dot = name.find('.');
  if (dot == name.npos) return std::nullopt;
  const std::string_view group = group_of(name.substr(0, dot)), metric = name.substr(dot + 1);
  if (group == "layer_N" && name.starts_with("layer_N")) return std::nullopt;
  for (const Group& g : groups()) {
    if (g.name != group) continue;
    GateKind kind = g.kind;
    kind.at_least = std::ranges::find(g.at_least, metric) != g.at_least.end();
    if (kind.at_least || std::ranges::find(g.at_most, metric) != g.at_most.end()) return kind;
  }
  return std::nullopt;
}

std::optional<std::string_view> renamed_gate(std::string_view old) {
  const auto found = std::ranges::find(kRenamed, old, [](const auto& names) { return names.first; });
  return found == std::end(kRenamed) ? std::nullopt : std::optional(found->second);
}

std::string known_gates(std::string_view name) {
  const std::string_view tensor = name.substr(0, name.find('.')), group = group_of(tensor);
  std::vector<std::string_view> metrics, names;
  for (const Group& g : groups()) {
    if (std::ranges::find(names, g.name) == names.end()) names.push_back(g.name);
    if (g.name != group) continue;
    metrics.insert(metrics.end(), g.at_least.begin(), g.at_least.end());
    metrics.insert(metrics.end(), g.at_most.begin(), g.at_most.end());
  }
  if (metrics.empty()) return fmt::format("there are gates on {}", fmt::join(names, ", "));
  return fmt::format("{} has {}", tensor, fmt::join(metrics, ", "));
}

bool Gate::at_least() const {
  const auto kind = gate_kind(name());
  return kind && kind->at_least;
}

std::string Gate::failure() const {
  std::string origin;
  if (!where.empty()) origin = basis.empty() ? where : where + ": " + basis;
  const auto kind = gate_kind(name());
  const auto shown = [&](double v) {
    return kind && kind->bytes ? fmt::format("{:.0f}", v)
                               : fmt::format("{:.6g}", v);  // bytes to the last one
  };
  return fmt::format("gate {} failed: {}, expected {} {}{}", name(), shown(value),
                     at_least() ? "at least" : "at most", shown(limit),
                     origin.empty() ? "" : fmt::format(" ({})", origin));
}

}  // namespace mlxe
