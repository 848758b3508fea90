#include "calibrate/calibrate.h"

#include <fmt/format.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <cmath>
#include <deque>
#include <memory>
#include <set>

#include "base/cpu_features.h"
#include "base/sha256.h"
#include "base/thread_pool.h"
#include "calibrate/calibration_ops.h"
#include "calibrate/calibration_texts.h"
#include "calibrate/journal.h"
#include "calibrate/later_uses.h"
#include "calibrate/rounding.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/version.h"
#include "models/run_plan.h"
#include "quant/matrix.h"
#include "quant/sources_hash.h"

namespace mlxe {
namespace calibrate {
namespace {

class Calibrator : public Fitter {
 public:
  Calibrator(LoadedModel& loaded, const Calibration& calibration,
             const std::map<std::string, Scheme>& schemes, ThreadPool& pool, const Progress& progress,
             Journal journal)
      : loaded_(loaded),
        method_(calibration.method),
        schemes_(schemes),
        pool_(pool),
        progress_(progress),
        journal_(std::move(journal)),
        shared_(shared_weights(loaded.model.plan)) {
    for (Parameter& p : loaded.model.plan.checkpoint_parameters()) {
      p.handle = static_cast<WeightId>(original_.size());
      original_.emplace_back(loaded.checkpoint.stored(p.name));
      changed_.emplace_back(loaded.checkpoint.stored(p.name));
    }
    take_up(journal_.read(schemes));
  }

  CalibratedWeights run(const Batch& batch, const std::filesystem::path& scratch) {
    report_progress();
    const Plan& plan = loaded_.model.plan;
    std::set<WeightId> due = shared_;
    std::erase_if(due, [&](WeightId id) { return scheme(id) == nullptr; });
    if (!due.empty()) later_uses_ = moments_of_later_uses(plan, due, original_, batch, scratch, pool_);
    CalibrationOps ops(original_, changed_, batch, scratch, pool_, *this);
    CalibrationOps::Tensor hidden;
    const std::vector<int32_t> token_of_head = token_read_by(plan, loaded_.model.task_logits(), batch);
    int64_t layer = 0;
    run_plan(ops, plan, plan.whole, batch, {Output::layers, Output::hidden},
             [&](Output output, const CalibrationOps::Tensor& x) {
               if (output == Output::hidden) hidden = x;
               if (output == Output::layers && ++layer == plan.layers() && !token_of_head.empty())
                 ops.weigh_tokens(batch, token_of_head, kTokenShare);
             });
    for (const Output head :
         {Output::text_logits, Output::token_logits, Output::span_logits, Output::choice_logits,
          Output::pooled, Output::chosen_logits, Output::token_vectors}) {
      if (!plan.has(head)) continue;
      // Weights of sentence-transformers modules are not quantized.
      const bool is_module = !loaded_.sentence.late_modules.empty() || loaded_.sentence.m3;
      if (head == Output::token_vectors && is_module) continue;
      if (head == Output::pooled) ops.weigh_tokens(batch, batch.first_rows(), kTokenShare);
      if (head == Output::chosen_logits || head == Output::token_vectors) ops.weigh_tokens_alike();
      run_plan(ops, plan, plan.whole, batch, {head}, [&](Output, const auto& x) { ops.need(x); },
               {.layer = plan.whole.layers.size(), .input = hidden});
    }
    for (WeightId id = 0; id < static_cast<WeightId>(original_.size()); ++id)
      if (scheme(id) != nullptr) quantize_data_free(id, {});  // not reached by the run
    return std::move(result_);
  }

 private:
  // Weight of a token, as a share of its text, if it is the only one of the last layer that a head reads.
  static constexpr float kTokenShare = 0.5f;

  // The row of the only token of each text that the output reads of the last layer. Empty: it reads others, or there is
  // no output.
  static std::vector<int32_t> token_read_by(const Plan& plan, std::optional<Output> output,
                                            const Batch& batch) {
    if (!output) return {};
    if (plan.first_tokens.output(*output) != kNoValue)
      return {batch.first_rows().begin(), batch.first_rows().end()};
    for (const PlanOp& op : plan.whole.ops) {
      if (!op.wanted_by.contains(*output)) continue;
      if (op.kind == OpKind::take_end) return end_rows(batch, plan.end_id);
      if (op.kind == OpKind::take_last) return last_rows(batch, plan.padding_id);
      if (op.kind == OpKind::pool && op.pooling == PoolingKind::last_token) return last_rows(batch, kNoToken);
    }
    return {};
  }

  // Handles are indices of the plan's parameters.
  const Parameter& spec(WeightId id) const { return loaded_.model.plan.parameter(id); }
  cpu::Weight& original(WeightId id) { return original_[static_cast<size_t>(id)]; }
  const cpu::Weight& original(WeightId id) const { return original_[static_cast<size_t>(id)]; }
  // Null if the matrix stays float or is done.
  const Scheme* scheme(WeightId id) const {
    const auto it = schemes_.find(spec(id).name);
    return it == schemes_.end() || done_.contains(id) ? nullptr : &it->second;
  }
  bool corrects() const {
    return method_ == CalibrationMethod::gptq || method_ == CalibrationMethod::automatic;
  }

  std::vector<float> values_of(WeightId id, int64_t first, int64_t rows) const {
    const cpu::Weight& w = original(id);
    std::vector<float> values(static_cast<size_t>(rows * w.columns()));
    pool_.parallel_for(
        rows, [&](int64_t r, int) { w.decode(first + r, 0, w.columns(), values.data() + r * w.columns()); });
    for (size_t i = 0; i < values.size(); ++i)
      if (!std::isfinite(values[i]))
        throw Error(ErrorCode::numeric, fmt::format("row {}, column {}: {}, expected a finite number",
                                                    first + static_cast<int64_t>(i) / w.columns(),
                                                    static_cast<int64_t>(i) % w.columns(), values[i]));
    return values;
  }

  QuantizedMatrix rtn(const std::vector<float>& values, int64_t columns, const Scheme& scheme) const {
    return quantize(std::as_bytes(std::span(values)), Dtype::f32,
                    static_cast<int64_t>(values.size()) / columns, columns, scheme, pool_);
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

  // Quantizes a matrix without known inputs: a table, or a matrix that the run did not reach. Works on some rows at a
  // time, because a vocabulary is half of a small model. `importance`: weight of the errors of each column; empty:
  // all 1.
  void quantize_data_free(WeightId id, std::vector<float> importance) {
    named(id, [&] {
      const Scheme& wanted = *scheme(id);
      const int64_t rows = spec(id).shape[0], columns = spec(id).shape[1];
      importance.resize(static_cast<size_t>(columns), 1.0f);
      double size = 0, rtn_error = 0, error = 0;
      const auto distance = [&](const std::vector<float>& values, const QuantizedMatrix& m) {
        const std::vector<float> found = decoded(m);
        double sum = 0;
        for (size_t i = 0; i < values.size(); ++i) {
          const double e = static_cast<double>(values[i]) - static_cast<double>(found[i]);
          sum += e * e * static_cast<double>(importance[i % importance.size()]);
        }
        return sum;
      };
      QuantizedMatrix whole{.scheme = wanted, .rows = rows, .columns = columns};
      constexpr int64_t kSlice = 2048;
      for (int64_t first = 0; first < rows; first += kSlice) {
        const std::vector<float> values = values_of(id, first, std::min(kSlice, rows - first));
        QuantizedMatrix slice = rtn(values, columns, wanted);
        if (method_ != CalibrationMethod::rtn) {
          rtn_error += distance(values, slice);
          slice = round_groups(values, importance, wanted, pool_);
          error += distance(values, slice);
          for (size_t i = 0; i < values.size(); ++i)
            size += static_cast<double>(values[i]) * static_cast<double>(values[i]) *
                    static_cast<double>(importance[i % importance.size()]);
        }
        whole.codes.insert(whole.codes.end(), slice.codes.begin(), slice.codes.end());
        whole.scales.insert(whole.scales.end(), slice.scales.begin(), slice.scales.end());
        whole.biases.insert(whole.biases.end(), slice.biases.begin(), slice.biases.end());
      }
      const auto relative = [&](double sum) { return size > 0 ? std::sqrt(sum / size) : 0.0; };
      keep(id, std::move(whole),
           {.method = method_ == CalibrationMethod::rtn ? "rtn" : "mse",
            .rtn_error = relative(rtn_error),
            .error = relative(error)});
    });
  }

  void tables(std::span<const Lookup> lookups, const LayerNorm* norm) override {
    std::vector<float> importance;
    if (norm != nullptr) {
      const cpu::Weight& scale = original(norm->weight);
      importance.assign(scale.values(), scale.values() + scale.rows());
      for (float& w : importance) w = gain(norm->kind, w) * gain(norm->kind, w);
    }
    for (const Lookup& l : lookups)
      if (scheme(l.table.weight) != nullptr) quantize_data_free(l.table.weight, importance);
    journal_.add(result_, bias_of_);
  }

  std::vector<ChannelAffine> norm(const LayerNorm& norm, const ChannelFit& fit) override {
    // Without a bias, no offset can be stored. What is best for the first use of a shared norm is not for the others.
    if (!corrects() || norm.bias == kNoWeight || shared_.contains(norm.weight)) return {};
    const std::vector<ChannelAffine> lines = fit.lines();
    const auto change = [&](WeightId id, auto&& value) {
      std::vector<float> values(original(id).values(), original(id).values() + original(id).rows());
      for (size_t c = 0; c < values.size(); ++c) values[c] = value(values[c], lines[c]);
      set_vector(id, std::move(values));
    };
    change(norm.weight, [](float v, const ChannelAffine& line) { return v * line.slope; });
    change(norm.bias, [](float v, const ChannelAffine& line) { return v * line.slope + line.offset; });
    return lines;
  }

  void stored() override {
    for (cpu::Weight& w : original_) w.release_stored();  // memory
  }

  std::unique_ptr<MomentSums> moments(std::span<const Linear> linears, int64_t outputs) override {
    const auto due = [&](const Linear& l) { return scheme(l.weight) != nullptr; };
    if (std::ranges::none_of(linears, due)) return {};
    const auto shared =
        std::ranges::find_if(linears, [&](const Linear& l) { return due(l) && shared_.contains(l.weight); });
    if (shared == linears.end()) return std::make_unique<MomentSums>(linears[0].in, outputs, pool_);
    const auto later = later_uses_.find({linears, outputs});
    if (later == later_uses_.end() || !later->second)
      throw Error(ErrorCode::internal, "calibration: " + spec(shared->weight).name +
                                           " is used beside other matrices each time, expected the same");
    return std::move(later->second);
  }

  void round_linears(std::span<const Linear> linears, std::unique_ptr<MomentSums> sums) override {
    std::vector<Linear> due;
    for (const Linear& l : linears) {  // a fused matrix is rounded as a whole
      const bool is_new = std::ranges::find(due, l.weight, &Linear::weight) == due.end();
      if (is_new && scheme(l.weight) != nullptr) due.push_back(l.whole());
    }
    named(due[0].weight, [&] {
      std::vector<std::vector<float>> values, targets;  // values first: their error names the tensor
      for (const Linear& l : due) named(l.weight, [&] { values.push_back(values_of(l.weight, 0, l.out)); });
      InputHessian hessian(sums->finish());
      sums.reset();
      for (const std::vector<float>& v : values) targets.push_back(correct_for_drift(v, hessian, pool_));
      hessian.finish_drift_correction();
      for (size_t i = 0; i < due.size(); ++i)
        named(due[i].weight, [&] { round_linear(due[i], values[i], targets[i], hessian); });
    });
    journal_.add(result_, bias_of_);
  }

  void round_linear(const Linear& l, const std::vector<float>& values, const std::vector<float>& target,
                    const InputHessian& hessian) {
    const Scheme& wanted = *scheme(l.weight);
    QuantizedMatrix best = rtn(values, l.in, wanted);
    TensorCalibration entry{.method = "rtn"};
    const double size = weighted_error(target, std::vector<float>(target.size()), hessian, pool_);
    const auto cost = [&](const QuantizedMatrix& m) {
      return size > 0 ? std::sqrt(weighted_error(target, decoded(m), hessian, pool_) / size) : 0.0;
    };
    entry.rtn_error = entry.error = cost(best);
    const auto consider = [&](QuantizedMatrix candidate, const char* method) {
      const double error = cost(candidate);
      if (!(error < entry.error)) return;
      best = std::move(candidate);
      entry.method = method;
      entry.error = error;
    };
    if (method_ == CalibrationMethod::mse) {
      std::vector<float> importance;
      for (int64_t c = 0; c < hessian.columns(); ++c) importance.push_back(hessian.diagonal(c));
      consider(round_groups(values, importance, wanted, pool_), "mse");
    }
    if (corrects()) consider(gptq_quantize(target, hessian, wanted, pool_), "gptq");
    if (method_ != CalibrationMethod::rtn && l.bias != kNoWeight) {
      correct_bias(l, values, decoded(best), hessian.moments);
      bias_of_[spec(l.weight).name] = spec(l.bias).name;
    }
    keep(l.weight, std::move(best), std::move(entry));
  }

  // Sets the bias so that the mean of the outputs is the original's.
  void correct_bias(const Linear& l, const std::vector<float>& values, const std::vector<float>& rounded,
                    const Moments& moments) {
    const auto n = static_cast<size_t>(l.in);
    std::vector<float> bias(static_cast<size_t>(l.out));
    for (size_t r = 0; r < bias.size(); ++r) {
      double wanted = static_cast<double>(original(l.bias).values()[r]), made = 0;  // on average
      if (moments.target == Target::outputs) wanted = moments.target_mean[r];
      for (size_t c = 0; c < n; ++c) {
        made += static_cast<double>(rounded[r * n + c]) * moments.mean[c];
        if (moments.target == Target::inputs)
          wanted += static_cast<double>(values[r * n + c]) * (moments.mean[c] + moments.target_mean[c]);
      }
      bias[r] = static_cast<float>(wanted - made);
    }
    set_vector(l.bias, std::move(bias));
  }

  // Installs the results of an earlier run. This run skips those matrices.
  void take_up(CalibratedWeights earlier) {
    std::map<std::string, WeightId> ids;
    for (const Parameter& p : loaded_.model.parameters()) ids[p.name] = p.handle;
    for (auto& [name, values] : earlier.vectors) set_vector(ids.at(name), std::move(values));
    for (TensorCalibration& entry : earlier.report)
      install(ids.at(entry.name), std::move(earlier.matrices.at(entry.name)), entry);
  }

  void set_vector(WeightId id, std::vector<float> values) {
    std::vector<float>& kept = result_.vectors[spec(id).name] = std::move(values);
    changed_[static_cast<size_t>(id)] = cpu::Weight({.name = spec(id).name,
                                                     .shape = spec(id).shape,
                                                     .dtype = Dtype::f32,
                                                     .codes = std::as_bytes(std::span(kept))});
  }

  void keep(WeightId id, QuantizedMatrix matrix, TensorCalibration entry) {
    install(id, std::move(matrix), std::move(entry));
    report_progress();
  }

  void install(WeightId id, QuantizedMatrix matrix, TensorCalibration entry) {
    entry.name = spec(id).name;
    result_.report.push_back(std::move(entry));
    const QuantizedMatrix& kept = result_.matrices[spec(id).name] = std::move(matrix);
    changed_[static_cast<size_t>(id)] = cpu::Weight({.name = spec(id).name,
                                                     .scheme = kept.scheme,
                                                     .shape = spec(id).shape,
                                                     .dtype = kept.scheme.dtype,
                                                     .codes = kept.codes,
                                                     .scales = kept.scales,
                                                     .biases = kept.biases});
    done_.insert(id);
  }

  void report_progress() const {
    if (progress_) progress_("calibrating", done_.size(), schemes_.size());
  }

  // Adds the name of the tensor to errors of `body`.
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
  Journal journal_;
  std::deque<cpu::Weight> original_, changed_;
  std::set<WeightId> shared_;  // weights that the encoder uses several times
  GroupMoments later_uses_;    // of those still to be rounded
  std::set<WeightId> done_;
  std::map<std::string, std::string> bias_of_;  // names of corrected biases, by the name of the matrix
  CalibratedWeights result_;
};

// Identifies everything that the results of a calibration depend on, apart from the plan of its conversion. The weights
// count by their files, as they were when they were mapped, whichever folder they are in.
std::string key_of(const Checkpoint& model, const Calibration& calibration,
                   const std::map<std::string, Scheme>& schemes, const Batch& batch) {
  std::string text = fmt::format("{} {} {} {}", kVersion, conversion_sources_hash(), name(active_variant()),
                                 name(calibration.method));
  for (const auto& [tensor, scheme] : schemes) text += fmt::format("\n{} {}", tensor, to_string(scheme));
  for (const CheckpointFile& file : model.files())
    text += fmt::format("\n{} {} {} {}", file.path.filename().string(), file.stamp.inode, file.stamp.size,
                        file.stamp.modified);
  Sha256 hash;
  hash.update(std::as_bytes(std::span(text)));
  for (const std::vector<int32_t>* part : {&batch.ids, &batch.token_types, &batch.offsets})
    hash.update(std::as_bytes(std::span(*part)));
  return hash.finish_hex();
}

}  // namespace
}  // namespace calibrate

CalibratedWeights calibrate_weights(const std::filesystem::path& model, const Calibration& calibration,
                                    const std::map<std::string, Scheme>& schemes, int threads,
                                    const Warning& warning, const Progress& progress,
                                    const std::filesystem::path& scratch,
                                    const std::filesystem::path& journal) {
  // What is unknown was refused, and warnings were given, by the plan of the conversion.
  LoadedModel loaded = load_model(model, {}, ExpectVectors::yes, UnknownTensors::accept);
  const TextTokenizer tokenizer(Tokenizer::load(model, warning), loaded);
  ThreadPool pool(threads, warning);
  int64_t widest_input = 0;
  for (const auto& [name, scheme] : schemes)
    widest_input = std::max(widest_input, loaded.checkpoint.stored(name).shape[1]);
  const Batch batch = calibrate::tokenize(calibration, loaded.model, tokenizer, widest_input, pool, warning);
#ifdef __GLIBC__
  ::malloc_trim(0);  // returns the pages of many small freed blocks (texts, tokens) to the system
#endif
  calibrate::Journal steps(journal, calibrate::key_of(loaded.checkpoint, calibration, schemes, batch));
  return calibrate::Calibrator(loaded, calibration, schemes, pool, progress, std::move(steps))
      .run(batch, scratch.empty() ? std::filesystem::temp_directory_path() : scratch);
}

}  // namespace mlxe
