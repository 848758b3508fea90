#include "mlx_encoder/sensitivity.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "allocate/costs.h"
#include "mlx_encoder/error.h"
#include "quant/policy.h"
#include "report/chart.h"

namespace mlxe {
namespace {

using allocate::TensorCosts;
using allocate::TensorUse;

void check(const SensitivityOptions& o) {
  if (o.bits.empty())
    throw Error(ErrorCode::usage, "sensitivity: no bits given; give some of 2, 3, 4, 5, 6, 8");
  std::set<int> seen;
  for (const int bits : o.bits) {
    validate({Mode::affine, bits, o.group_size, o.dtype});
    if (!seen.insert(bits).second)
      throw Error(ErrorCode::usage, fmt::format("sensitivity: {} bits are given twice", bits));
  }
  if (o.texts.size() < allocate::kFewestTexts)
    throw Error(ErrorCode::usage,
                fmt::format("sensitivity: found {} text{}, expected at least {}, better some hundreds, like "
                            "those the model will see",
                            o.texts.size(), o.texts.size() == 1 ? "" : "s", allocate::kFewestTexts));
}

// Matrices that a conversion quantizes by default.
std::set<std::string> quantizable(const Model& model, const Scheme& scheme) {
  Policy policy(scheme, {}, {});
  std::set<std::string> names;
  for (const Parameter& p : model.parameters())
    if (policy.decide(p.name, p.shape, p.role).scheme.mode != Mode::none) names.insert(p.name);
  return names;
}

WidthCost width_cost(const TensorCosts& t, const allocate::SchemeCost& c) {
  const double plain =
      static_cast<double>(element_count(t.use.shape)) * static_cast<double>(size_of(c.scheme.dtype));
  const double saved = plain - static_cast<double>(c.bytes);
  return {.bits = c.scheme.bits,
          .group_size = c.scheme.group_size,
          .bytes = c.bytes,
          .cost = c.cost,
          .flips = c.flips,
          .cost_per_mib_saved = saved > 0 ? c.cost / (saved / 0x1p20) : 0};
}

}  // namespace

Sensitivity measure_sensitivity(const SensitivityOptions& options) {
  check(options);
  const TextRunner original(options.model, {.engine = EngineKind::cpu,
                                            .activations = Activations::float32,
                                            .threads = options.threads,
                                            .warning = options.warning});
  const Output output = allocate::output_of(original.model());
  const std::vector<Sequence> sequences =
      allocate::spread(tokenize_both(original, original, options.texts, pairs_of(output), options.warning),
                       options.most_tokens);
  Sensitivity result{.metric = allocate::cost_name(output, original.model().problem_type),
                     .rows = entry(output).rows == OutputRows::tokens ? "tokens" : "texts",
                     .labels = allocate::has_labels(output, original.model().problem_type),
                     .texts = static_cast<int64_t>(sequences.size())};
  for (const Sequence& s : sequences) result.tokens += static_cast<int64_t>(s.ids.size());
  if (result.tokens < allocate::kWantedTokens && options.warning)
    options.warning(
        fmt::format("sensitivity: found {} tokens in {} texts, expected at least {}: the figures may "
                    "hold only for these texts",
                    result.tokens, result.texts, allocate::kWantedTokens));

  allocate::SensitivityRunner runner(original, output, sequences);
  const std::set<std::string> quantized =
      quantizable(original.model(), {Mode::affine, options.bits[0], options.group_size, options.dtype});
  std::vector<TensorUse> tensors;
  std::set<std::string> read;
  for (const TensorUse& t : runner.tensors()) {
    read.insert(t.name);
    if (quantized.contains(t.name)) tensors.push_back(t);
  }
  for (const Parameter& p : original.model().parameters())
    if (quantized.contains(p.name) && !read.contains(p.name)) result.not_read.push_back(p.name);

  const allocate::CostRequest request{.bits = options.bits,
                                      .group_size = options.group_size,
                                      .other_bits = {},
                                      .other_groups = {},
                                      .dtype = options.dtype};
  const std::vector<TensorCosts> costs = measure_costs(runner, tensors, request, options.progress);
  for (const TensorCosts& t : costs) {
    TensorSensitivity& entry = result.tensors.emplace_back(TensorSensitivity{
        .name = t.use.name, .part = name(t.use.matrix), .layer = {}, .shape = t.use.shape, .widths = {}});
    if (t.use.stage > 0 && t.use.stage + 1 < runner.stages()) entry.layer = t.use.stage - 1;
    for (const allocate::SchemeCost& c : t.measured) entry.widths.push_back(width_cost(t, c));
  }
  for (size_t w = 0; w < options.bits.size(); ++w) {
    WholeCost whole{.bits = options.bits[w]};
    std::map<std::string, std::vector<float>> all;
    for (const TensorCosts& t : costs) {
      whole.bytes += t.measured[w].bytes;
      whole.sum += t.measured[w].cost;
      all[t.use.name] = runner.round(t.use, t.measured[w].scheme).values;
    }
    const allocate::OutputCost found = runner.cost(all);
    whole.cost = found.cost;
    whole.flips = found.flips;
    result.wholes.push_back(whole);
  }
  original.checkpoint().require_unwritten();
  const auto four = std::ranges::find(options.bits, 4);
  const size_t width = four == options.bits.end() ? 0 : static_cast<size_t>(four - options.bits.begin());
  result.order_bits = options.bits[width];
  result.order.resize(result.tensors.size());
  std::iota(result.order.begin(), result.order.end(), size_t{0});
  std::ranges::stable_sort(result.order, std::greater{},
                           [&](size_t i) { return result.tensors[i].widths[width].cost_per_mib_saved; });
  return result;
}

std::string to_json(const Sensitivity& s) {
  using nlohmann::json;
  json tensors = json::array(), wholes = json::array(), order = json::array();
  for (const TensorSensitivity& t : s.tensors) {
    json widths = json::array();
    for (const WidthCost& w : t.widths)
      widths.push_back({{"bits", w.bits},
                        {"group_size", w.group_size},
                        {"bytes", w.bytes},
                        {"cost", w.cost},
                        {"flips", s.labels ? json(w.flips) : json()},
                        {"cost_per_mib_saved", w.cost_per_mib_saved}});
    tensors.push_back({{"name", t.name},
                       {"part", t.part},
                       {"layer", t.layer ? json(*t.layer) : json()},
                       {"shape", t.shape},
                       {"widths", widths}});
  }
  for (const WholeCost& w : s.wholes)
    wholes.push_back({{"bits", w.bits},
                      {"bytes", w.bytes},
                      {"sum", w.sum},
                      {"cost", w.cost},
                      {"flips", s.labels ? json(w.flips) : json()}});
  for (const size_t i : s.order) order.push_back(s.tensors[i].name);
  return json{{"metric", s.metric},     {"rows", s.rows},     {"texts", s.texts},
              {"tokens", s.tokens},     {"tensors", tensors}, {"wholes", wholes},
              {"not_read", s.not_read}, {"order", order},     {"order_bits", s.order_bits}}
      .dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string to_svg(const Sensitivity& s) {
  LineChart chart{.title = fmt::format("{} of each matrix alone at {} bits", s.metric, s.order_bits),
                  .x_label = "layer (tables and heads at the ends)",
                  .y_label = s.metric,
                  .lines = {},
                  .y_scale = Scale::logarithmic};
  int layers = 0;
  for (const TensorSensitivity& t : s.tensors) layers = std::max(layers, t.layer.value_or(-1) + 1);
  std::map<std::string, size_t> lines;
  for (const TensorSensitivity& t : s.tensors)
    for (const WidthCost& w : t.widths) {
      if (w.bits != s.order_bits) continue;
      // A matrix outside the layers has no neighbours to connect with.
      const std::string line = t.layer ? t.part : t.name;
      const auto [it, is_new] = lines.emplace(line, chart.lines.size());
      if (is_new) chart.lines.push_back({line, {}});
      const int x = t.layer ? *t.layer : t.part == "table" ? -1 : layers;
      chart.lines[it->second].points.emplace_back(x, w.cost);
    }
  return to_svg(chart);
}

}  // namespace mlxe
