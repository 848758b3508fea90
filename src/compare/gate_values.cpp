#include "compare/gate_values.h"

#include <cmath>

#include "base/wording.h"
#include "bench/machine.h"
#include "mlx_encoder/version.h"

namespace mlxe {
namespace {

void put(GateValues& values, const std::string& tensor, const Difference& d) {
  values[tensor + ".cosine"] = d.cosine.mean;
  values[tensor + ".cosine_p1"] = d.cosine.p1;
  values[tensor + ".cosine_min"] = d.cosine.min;
  values[tensor + ".mse"] = d.mse;
  values[tensor + ".max_abs"] = d.max_abs;
  values[tensor + ".relative_max"] = d.relative_max;
}

// "layers": of each metric the worst of any layer.
void put_layers(GateValues& values, const std::vector<NamedDifference>& layers) {
  if (layers.empty()) return;
  Difference worst = layers[0].difference;
  for (size_t i = 0; i < layers.size(); ++i) {
    const Difference& d = layers[i].difference;
    put(values, i == 0 ? "embeddings" : "layer_" + std::to_string(i), d);
    // The comparisons are the right way round for a NaN: it stays, and fails the gate.
    const auto lower = [](double& kept, double value) {
      if (!(kept <= value) && !std::isnan(kept)) kept = value;
    };
    const auto higher = [](double& kept, double value) {
      if (!(kept >= value) && !std::isnan(kept)) kept = value;
    };
    lower(worst.cosine.mean, d.cosine.mean);
    lower(worst.cosine.p1, d.cosine.p1);
    lower(worst.cosine.min, d.cosine.min);
    higher(worst.mse, d.mse);
    higher(worst.max_abs, d.max_abs);
    higher(worst.relative_max, d.relative_max);
  }
  put(values, "layers", worst);
}

void put_measurement(GateValues& values, const Measurement& m) {
  values["memory.loaded_bytes"] = static_cast<double>(m.loaded_bytes);
  values["memory.peak_bytes"] = static_cast<double>(m.peak_bytes);
  values["latency_ms.p50"] = m.latency.p50;
  values["latency_ms.p95"] = m.latency.p95;
  values["latency_ms.p99"] = m.latency.p99;
  values["cold_start_ms.median"] = m.cold_start.median;
  values["throughput.texts_per_second"] = m.throughput.texts_per_second;
  values["throughput.tokens_per_second"] = m.throughput.tokens_per_second;
}

Measured empty_run(MeasuredBy by, const std::string& folder) {
  return {.by = by,
          .model = folder_name(folder),
          .version = kVersion,
          .date = utc_date(),
          .machine = describe_machine(),
          .values = {}};
}

}  // namespace

Measured to_gate_values(const Conversion& c) {
  Measured m = empty_run(MeasuredBy::convert, c.folder.string());
  m.values["size.weight_bytes"] = static_cast<double>(c.plan.predicted_bytes);
  m.values["size.folder_bytes"] = static_cast<double>(c.plan.folder_bytes);
  m.values["size.bits_per_weight"] = c.plan.bits_per_weight;
  for (const TensorCalibration& t : c.calibration) {
    const auto worst = m.values.try_emplace("calibration.error", t.error).first;
    if (!(worst->second >= t.error) && !std::isnan(worst->second)) worst->second = t.error;
  }
  return m;
}

Measured to_gate_values(const Comparison& c) {
  Measured m = empty_run(MeasuredBy::compare, c.quantized.folder);
  GateValues& values = m.values;
  for (const NamedDifference& t : c.tensors) put(values, t.name, t.difference);
  put_layers(values, c.layers);
  if (c.vectors) {
    values["pooled_vector.relative_error"] = c.vectors->relative_error;
    values["pooled_vector.neighbours_kept"] = c.vectors->neighbours_kept;
  }
  for (const Drift& d : c.drift) {
    values[d.sample + ".ks"] = d.statistic;
    values[d.sample + ".ks_p"] = d.p;
  }
  if (c.labels) {
    values["labels.kl"] = c.labels->kl;
    values["labels.flips"] = static_cast<double>(c.labels->flips) / static_cast<double>(c.labels->texts);
  }
  for (const auto& [side, model] :
       {std::pair("original", &c.original), std::pair("quantized", &c.quantized)}) {
    values[std::string(side) + ".repeat_difference"] = model->checks.repeat_difference;
    values[std::string(side) + ".batch_difference"] = model->checks.batch_difference;
  }
  for (const TaskScore& t : c.task) {
    values["task." + t.metric] = t.quantized;
    values["task." + t.metric + "_drop"] = t.original - t.quantized;
  }
  values["size.weight_bytes"] = static_cast<double>(c.quantized.size.weight_bytes);
  values["size.folder_bytes"] = static_cast<double>(c.quantized.size.folder_bytes);
  values["size.bits_per_weight"] = c.quantized.size.bits_per_weight;
  if (c.quantized.measured) put_measurement(values, *c.quantized.measured);
  return m;
}

Measured to_gate_values(const Evaluation& e) {
  Measured m = empty_run(MeasuredBy::evaluate, e.model.folder);
  for (const TaskFigure& f : e.figures) {
    m.values["task." + f.metric] = f.value;
    if (f.original) m.values["task." + f.metric + "_drop"] = *f.original - f.value;
  }
  const int64_t answers = e.words > 0 ? e.words : e.items;
  if (e.mcnemar && answers > 0)
    m.values["labels.flips"] = static_cast<double>(e.flips.size()) / static_cast<double>(answers);
  return m;
}

}  // namespace mlxe
