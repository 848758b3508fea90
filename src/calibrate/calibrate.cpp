#include "calibrate/calibrate.h"

#include <fmt/format.h>

#include <cmath>
#include <set>

#include "base/thread_pool.h"
#include "calibrate/calibration_ops.h"
#include "calibrate/calibration_texts.h"
#include "calibrate/rounding.h"
#include "mlx_encoder/error.h"
#include "models/forward.h"
#include "quant/matrix.h"

namespace mlxe {
namespace calibrate {
namespace {

// Gives every tensor a handle, the same one however many modules share it.
class Binder : public ParameterVisitor {
 public:
  explicit Binder(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {}

  void parameter(const ParameterSpec& spec, WeightId& handle) override {
    const auto [it, is_new] = handles_.emplace(spec.name, static_cast<WeightId>(specs.size()));
    handle = it->second;
    if (!is_new) return;
    specs.push_back(spec);
    original.emplace_back(checkpoint_.stored(spec.name));
    changed.emplace_back(checkpoint_.stored(spec.name));
  }

  std::vector<ParameterSpec> specs;  // by handle
  std::deque<cpu::Weight> original, changed;

 private:
  const Checkpoint& checkpoint_;
  std::map<std::string, WeightId> handles_;
};

class Calibrator {
 public:
  Calibrator(LoadedModel& loaded, const Calibration& calibration,
             const std::map<std::string, Scheme>& schemes, ThreadPool& pool, const Progress& progress)
      : loaded_(loaded),
        method_(calibration.method),
        schemes_(schemes),
        pool_(pool),
        progress_(progress),
        weights_(loaded.checkpoint) {
    loaded.model.visit(weights_);
  }

  CalibratedWeights run(const Batch& batch) {
    report_progress();
    for (WeightId id = 0; id < static_cast<WeightId>(weights_.specs.size()); ++id)
      if (is_table(spec(id).role) && scheme(id) != nullptr) round_alone(id);
    CalibrationOps ops(
        weights_.original, weights_.changed, pool_,
        [this](std::span<const Linear> linears, Moments moments) { meet(linears, std::move(moments)); });
    const RunRequest request{.batch = batch,
                             .hidden = !loaded_.model.classifier,
                             .pooler = loaded_.model.pooler.has_value(),
                             .logits = loaded_.model.classifier.has_value()};
    RunResult result;
    forward(ops, loaded_.model, request, result);
    check_finite(result);
    for (WeightId id = 0; id < static_cast<WeightId>(weights_.specs.size()); ++id)
      if (scheme(id) != nullptr) round_alone(id);  // what the run did not reach
    return std::move(result_);
  }

 private:
  const ParameterSpec& spec(WeightId id) const { return weights_.specs[static_cast<size_t>(id)]; }
  static bool is_table(Role role) { return role == Role::embedding || role == Role::token_type_embedding; }
  // Null where the matrix stays float or is done.
  const Scheme* scheme(WeightId id) const {
    const auto it = schemes_.find(spec(id).name);
    return it == schemes_.end() || done_.contains(id) ? nullptr : &it->second;
  }

  std::vector<float> values_of(WeightId id) const {
    const cpu::Weight& w = weights_.original[static_cast<size_t>(id)];
    std::vector<float> values(static_cast<size_t>(w.rows() * w.columns()));
    pool_.parallel_for(w.rows(),
                       [&](int64_t r, int) { w.decode(r, 0, w.columns(), values.data() + r * w.columns()); });
    for (size_t i = 0; i < values.size(); ++i)
      if (!std::isfinite(values[i]))
        throw Error(ErrorCode::numeric, fmt::format("row {}, column {}: {}, expected a finite number",
                                                    static_cast<int64_t>(i) / w.columns(),
                                                    static_cast<int64_t>(i) % w.columns(), values[i]));
    return values;
  }

  QuantizedMatrix plain(const std::vector<float>& values, WeightId id, const Scheme& scheme) const {
    return quantize(std::as_bytes(std::span(values)), Dtype::f32, spec(id).shape[0], spec(id).shape[1],
                    scheme, pool_);
  }

  std::vector<float> decoded(const QuantizedMatrix& m) const {
    std::vector<float> values(static_cast<size_t>(m.rows * m.columns));
    constexpr int64_t kRows = 64;
    pool_.parallel_for((m.rows + kRows - 1) / kRows, [&](int64_t block, int) {
      const int64_t first = block * kRows, count = std::min(kRows, m.rows - first);
      dequantize_rows(view(m), m.scheme, m.rows, m.columns, first, count,
                      std::span(values).subspan(static_cast<size_t>(first * m.columns),
                                                static_cast<size_t>(count * m.columns)));
    });
    return values;
  }

  // A matrix of which no inputs are known: tables, and what the run did not reach.
  void round_alone(WeightId id) {
    named(id, [&] {
      const Scheme& wanted = *scheme(id);
      const std::vector<float> values = values_of(id);
      const QuantizedMatrix rounded = plain(values, id, wanted);
      if (method_ == CalibrationMethod::rtn) return keep(id, rounded, {.method = "rtn"});
      const std::vector<float> importance(static_cast<size_t>(spec(id).shape[1]), 1.0f);
      QuantizedMatrix best = round_groups(values, importance, wanted, pool_);
      const auto distance = [&](const QuantizedMatrix& m) {
        const std::vector<float> found = decoded(m);
        double error = 0, size = 0;
        for (size_t i = 0; i < values.size(); ++i) {
          const double v = static_cast<double>(values[i]), e = v - static_cast<double>(found[i]);
          error += e * e;
          size += v * v;
        }
        return size > 0 ? std::sqrt(error / size) : 0.0;
      };
      const double before = distance(rounded), after = distance(best);
      keep(id, std::move(best), {.method = "mse", .plain_error = before, .error = after});
    });
  }

  void meet(std::span<const Linear> linears, Moments moments) {
    std::vector<Linear> due;
    for (const Linear& l : linears)
      if (scheme(l.weight) != nullptr) due.push_back(l);
    if (due.empty()) return;
    named(due[0].weight, [&] {
      const InputMetric metric(std::move(moments));
      for (const Linear& l : due) named(l.weight, [&] { round_linear(l, metric); });
    });
  }

  void round_linear(const Linear& l, const InputMetric& metric) {
    const Scheme& wanted = *scheme(l.weight);
    const std::vector<float> values = values_of(l.weight);
    const std::vector<float> target = retarget(values, metric, pool_);
    QuantizedMatrix best = plain(values, l.weight, wanted);
    TensorCalibration entry{.method = "rtn"};
    const double size = weighted_error(target, std::vector<float>(target.size()), metric, pool_);
    const auto cost = [&](const QuantizedMatrix& m) {
      return size > 0 ? std::sqrt(weighted_error(target, decoded(m), metric, pool_) / size) : 0.0;
    };
    entry.plain_error = entry.error = cost(best);
    const auto consider = [&](QuantizedMatrix candidate, const char* method) {
      const double error = cost(candidate);
      if (!(error < entry.error)) return;
      best = std::move(candidate);
      entry.method = method;
      entry.error = error;
    };
    if (method_ == CalibrationMethod::mse) {
      std::vector<float> importance;
      for (int64_t c = 0; c < metric.columns(); ++c) importance.push_back(metric.diagonal(c));
      consider(round_groups(values, importance, wanted, pool_), "mse");
    }
    if (method_ == CalibrationMethod::gptq || method_ == CalibrationMethod::automatic)
      consider(round_compensated(target, metric, wanted, pool_), "gptq");
    if (method_ != CalibrationMethod::rtn && l.bias != kNoWeight)
      correct_bias(l, values, decoded(best), metric);
    keep(l.weight, std::move(best), std::move(entry));
  }

  // What the outputs are off by on average.
  void correct_bias(const Linear& l, const std::vector<float>& values, const std::vector<float>& rounded,
                    const InputMetric& metric) {
    const cpu::Weight& original = weights_.original[static_cast<size_t>(l.bias)];
    const auto n = static_cast<size_t>(l.in);
    std::vector<float>& bias = result_.biases[spec(l.bias).name];
    bias.resize(static_cast<size_t>(l.out));
    for (size_t r = 0; r < bias.size(); ++r) {
      double off = 0;
      for (size_t c = 0; c < n; ++c)
        off += static_cast<double>(values[r * n + c]) * metric.moments.original_mean[c] -
               static_cast<double>(rounded[r * n + c]) * metric.moments.mean[c];
      bias[r] = static_cast<float>(static_cast<double>(original.values()[r]) + off);
    }
    weights_.changed[static_cast<size_t>(l.bias)] = cpu::Weight({.name = spec(l.bias).name,
                                                                 .shape = {l.out},
                                                                 .dtype = Dtype::f32,
                                                                 .codes = std::as_bytes(std::span(bias))});
  }

  void keep(WeightId id, QuantizedMatrix matrix, TensorCalibration entry) {
    entry.name = spec(id).name;
    result_.report.push_back(std::move(entry));
    const QuantizedMatrix& kept = result_.matrices[spec(id).name] = std::move(matrix);
    weights_.changed[static_cast<size_t>(id)] = cpu::Weight({.name = spec(id).name,
                                                             .scheme = kept.scheme,
                                                             .shape = spec(id).shape,
                                                             .dtype = kept.scheme.dtype,
                                                             .codes = kept.codes,
                                                             .scales = kept.scales,
                                                             .biases = kept.biases});
    done_.insert(id);
    report_progress();
  }

  void report_progress() const {
    if (progress_) progress_("calibrating", done_.size(), schemes_.size());
  }

  // Errors of `body` say which tensor they are about.
  template <class Body>
  void named(WeightId id, Body&& body) {
    try {
      body();
    } catch (const Error& error) {
      if (error.code() != ErrorCode::numeric || std::string_view(error.what()).starts_with("calibration: "))
        throw;
      throw Error(ErrorCode::numeric,
                  fmt::format("calibration: {}, {}: {}", loaded_.checkpoint.folder().string(), spec(id).name,
                              error.what()));
    }
  }

  LoadedModel& loaded_;
  CalibrationMethod method_;
  const std::map<std::string, Scheme>& schemes_;
  ThreadPool& pool_;
  const Progress& progress_;
  Binder weights_;
  std::set<WeightId> done_;
  CalibratedWeights result_;
};

}  // namespace
}  // namespace calibrate

CalibratedWeights calibrate_weights(const std::filesystem::path& model, const Calibration& calibration,
                                    const std::map<std::string, Scheme>& schemes, int threads,
                                    const Warning& warning, const Progress& progress) {
  LoadedModel loaded = load_model(model, {});  // the plan has said what there is to say
  Tokenizer tokenizer = Tokenizer::load(model, warning);
  if (loaded.sentence.do_lower_case) tokenizer.lower_case_first();
  ThreadPool pool(threads);
  const Batch batch = calibrate::tokenize(calibration, loaded, tokenizer, pool, warning);
  return calibrate::Calibrator(loaded, calibration, schemes, pool, progress).run(batch);
}

}  // namespace mlxe
