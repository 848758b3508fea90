#include "mlx_encoder/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <set>

#include "base/file_errors.h"
#include "base/mapped_file.h"
#include "bench/machine.h"
#include "compare/default_gates.h"
#include "compare/output_meter.h"
#include "compare/sequences.h"
#include "compare/stored_size.h"
#include "convert/carried_files.h"
#include "encoder/text_runner.h"
#include "evaluate/label_index.h"
#include "gates/limits.h"
#include "metrics/difference_meter.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/version.h"

namespace mlxe {
namespace {

// Tokens of a batch: with it the activations of every layer of both sides are held at once. 2048 tokens of a
// 12-layer, 768-wide model are 2 * 13 * 2048 * 768 * 4 bytes = 160 MB.
constexpr int64_t kBatchTokens = 2048;
// Sequences sorted by length together, so that an engine that pads wastes little.
constexpr size_t kWindow = 1024;
constexpr size_t kWorstTexts = 10;
constexpr size_t kCheckedTexts = 8;
// mlx pads a batch, so a product may sum in another order: float32 rounding over some ten layers of sums of
// 3072 stays below 12 * sqrt(3072) * 2^-24 * (a few) = 1e-4 of the largest value.
constexpr double kPaddedTolerance = 1e-4;

std::span<const float> row(const Matrix& m, int64_t first, int64_t count = 1) {
  return std::span(m.values).subspan(static_cast<size_t>(first * m.columns),
                                     static_cast<size_t>(count * m.columns));
}

void check_same_model(const TextRunner& a, const TextRunner& b) {
  const auto check = [&](const char* what, int64_t x, int64_t y) {
    if (x != y)
      throw Error(
          ErrorCode::unsupported,
          fmt::format("{} has {} {}, {} has {}; compare a model with a conversion of itself",
                      a.checkpoint().folder().string(), x, what, b.checkpoint().folder().string(), y));
  };
  check("layers", a.model().layers(), b.model().layers());
  check("hidden units", a.model().hidden_size(), b.model().hidden_size());
  if (a.model().classifier && b.model().classifier)
    check("labels", a.model().classifier->out.out, b.model().classifier->out.out);
  if (a.model().token_classifier && b.model().token_classifier)
    check("labels", a.model().token_classifier->out.out, b.model().token_classifier->out.out);
}

bool has_head(const Model& model) {
  return model.classifier || model.token_classifier;
}

// Gold labels as indices into the model's.
std::vector<int64_t> gold_indices(const std::vector<std::string>& gold,
                                  const std::vector<std::string>& labels, const Warning& warn) {
  GoldLabels read = read_gold_labels(gold, labels, warn);
  if (!read.misfit) return std::move(read.indices);
  throw Error(ErrorCode::format, fmt::format("text {}: the gold label \"{}\" is none of the model's: {}",
                                             *read.misfit + 1, gold[*read.misfit], fmt::join(labels, ", ")));
}

// One comparison while it runs.
class Comparing {
 public:
  Comparing(const std::filesystem::path& original, const std::filesystem::path& quantized,
            const CompareInput& input, const CompareOptions& options)
      : input_(input),
        options_(options),
        a_(original, encoder_options(Activations::float32)),
        b_(quantized, encoder_options(Activations::float32)),
        by_token_(a_.model().token_classifier && b_.model().token_classifier),
        classifier_(by_token_ || (a_.model().classifier && b_.model().classifier)) {
    const bool asked = needs_cpu_engine(options.engine, options.run_mode);
    if (options.run_mode == Activations::float32 || (!asked && b_.engine_info().engine != "cpu")) return;
    fast_.emplace(quantized, encoder_options(options.run_mode));
    if (fast_->engine_info().activations == Activations::float32) fast_.reset();
  }

  Comparison result() {
    check_same_model(a_, b_);
    describe();
    choose_tensors();
    choose_task();
    set_gates();  // a mistyped gate is said before the long run, with values of zero
    sequences_ = tokenize_both(a_, b_, input_.texts, classifies_texts() ? Pairs::together : Pairs::apart,
                               options_.threads, warning());
    run();
    finish();
    check_engines();
    set_gates();
    for (const TextRunner* runner : {&a_, &b_}) runner->checkpoint().require_unwritten();
    return std::move(out_);
  }

 private:
  Warning warning() {
    return [this](std::string_view sentence) {
      if (std::ranges::find(out_.warnings, sentence) == out_.warnings.end())
        out_.warnings.emplace_back(sentence);
      if (options_.warning) options_.warning(sentence);
    };
  }
  EncoderOptions encoder_options(Activations activations) {
    return {.engine = options_.engine,
            .activations = activations,
            .threads = options_.threads,
            .max_length = options_.max_length,
            .warning = warning()};
  }

  void describe() {
    for (auto [runner, model] : {std::pair(&a_, &out_.original), std::pair(&b_, &out_.quantized)}) {
      const EngineInfo engine = runner->engine_info();
      model->folder = runner->checkpoint().folder().string();
      model->model_type = runner->model().model_type;
      model->engine = engine.engine;
      model->variant = engine.variant;
      model->notes = engine.notes;
      model->size = stored_size(*runner);
      model->checks.batch_tolerance = engine.engine == "cpu" ? 0 : kPaddedTolerance;
    }
    if (has_head(a_.model()) && !has_head(b_.model()))
      warning()("the converted folder has no classifier: its sentence vectors are compared instead");
    const ExpectedCosine expected = expected_cosine(b_.checkpoint());
    out_.bits = expected.bits();
    limits_ = with_defaults(options_.limits, expected.limit());
    out_.machine = describe_machine();
    out_.version = kVersion;
    out_.date = utc_date();
  }

  ProblemType problem() const { return a_.model().problem_type; }

  void choose_tensors() {
    task_.classifier = classifier_;
    task_.by_token = by_token_;
    task_.problem = problem();
    task_.labels = by_token_ ? a_.model().token_labels : a_.model().labels;
    task_.hidden_size = a_.model().hidden_size();
    out_.output = task_.output();
    out_.listed = task_.listed();
    out_.tensors = {{"last_hidden_state", {}}, {out_.output, {}}};
    if (!classifier_) out_.vectors = VectorSpace{};
    if (!task_.has_probabilities()) return;
    out_.tensors.push_back({"probabilities", {}});
    out_.labels = LabelDifference{};
  }

  // Which gold values can be used with this model; the others are said to be ignored.
  void choose_task() {
    for (auto [name, size] :
         {std::pair("labels", input_.labels.size()), std::pair("scores", input_.scores.size())})
      if (size != 0 && size != input_.texts.size())
        throw Error(ErrorCode::usage, fmt::format("{} gold {} for {} texts; give one a text, or none", size,
                                                  name, input_.texts.size()));
    const bool pairs =
        std::ranges::all_of(input_.texts, [](const TextInput& t) { return t.pair.has_value(); });
    const bool one_label =
        classifies_texts() && problem() == ProblemType::single_label && a_.model().classifier->out.out > 1;
    if (!input_.labels.empty()) {
      if (one_label)
        task_.gold = gold_indices(input_.labels, a_.model().labels, warning());
      else
        warning()(fmt::format("the gold labels are ignored: this is no classifier of one label a text{}",
                              by_token_ ? "; evaluate --task ner takes those of words" : ""));
    }
    if (!input_.scores.empty()) {
      if (classifies_texts() ? a_.model().classifier->out.out == 1 : pairs && !by_token_)
        task_.scores = input_.scores;
      else
        warning()(
            "the gold scores are ignored: they need an embedding model and pairs, or a model with one "
            "output");
    }
    if (!task_.gold.empty()) out_.task = {{"accuracy"}, {"macro_f1"}};
    if (!task_.scores.empty()) out_.task.insert(out_.task.end(), {{"spearman"}, {"pearson"}});
  }

  void set_gates() { out_.gates = apply_gates(out_, limits_, options_.gates); }

  void run() {
    out_.texts = static_cast<int64_t>(sequences_.size());
    for (const Sequence& s : sequences_) out_.tokens += static_cast<int64_t>(s.ids.size());
    if (out_.tokens == 0) throw Error(ErrorCode::usage, "the texts hold no tokens; give some text");
    for (int64_t i = 0; i <= a_.model().layers(); ++i) layers_.emplace_back(out_.tokens, task_.hidden_size);
    task_.sequences = out_.texts;
    task_.tokens = out_.tokens;
    if (!classifier_) task_.different = different_sequences(sequences_);
    exact_meter_.emplace(task_);
    if (fast_) fast_meter_.emplace(task_);
    out_.text_cosines.resize(sequences_.size());

    for (size_t begin = 0, end; begin < sequences_.size(); begin = end) {
      end = std::min(begin + kWindow, sequences_.size());
      if (end < sequences_.size() && sequences_[end].part == 1) ++end;  // a pair stays in one window
      run_window(begin, end);
      if (options_.progress) options_.progress("texts", end, sequences_.size());
    }
  }

  void run_window(size_t begin, size_t end) {
    std::vector<size_t> order(end - begin);
    std::iota(order.begin(), order.end(), begin);
    std::ranges::stable_sort(order, {}, [&](size_t i) { return sequences_[i].ids.size(); });
    for (auto* meter : {&exact_meter_, &fast_meter_})
      if (*meter) (*meter)->begin_window(begin, end - begin);
    for (size_t next = 0; next < order.size();) {
      std::array<RunRequest, 2> requests{request(), request()};
      const size_t first = next;
      do {
        append(requests, sequences_[order[next++]]);
      } while (next < order.size() &&
               requests[0].batch.tokens() + static_cast<int64_t>(sequences_[order[next]].ids.size()) <=
                   kBatchTokens);
      const RunResult x = a_.run(requests[0]), y = b_.run(requests[1]);
      RunResult z;
      if (fast_) {
        requests[1].layers = false;
        requests[1].hidden = true;
        z = fast_->run(requests[1]);
      }
      for (size_t i = first; i < next; ++i)
        take(order[i], x, y, z, requests[0].batch, static_cast<int64_t>(i - first));
    }
    for (auto* meter : {&exact_meter_, &fast_meter_})
      if (*meter) (*meter)->end_window(sequences_);
  }

  RunRequest request() const {
    RunRequest r;
    r.layers = true;
    r.sentence = !classifier_;
    r.logits = classifier_;
    return r;
  }

  // What users see of a text: a row, or of a token classifier a row a token.
  std::span<const float> output_of(const RunResult& r, const Batch& batch, int64_t position) const {
    const Matrix& all = classifier_ ? r.logits : r.sentence;
    if (!by_token_) return row(all, position);
    return row(all, batch.offsets[static_cast<size_t>(position)], batch.length(position));
  }
  // Which reads a pair at once.
  bool classifies_texts() const { return classifier_ && !by_token_; }

  static void append(std::array<RunRequest, 2>& requests, const Sequence& s) {
    for (int side = 0; side < 2; ++side) {
      requests[side].batch.append(s.ids, s.type_ids[side], s.pool_from[side]);
      requests[side].numbers.push_back(static_cast<size_t>(s.text) + 1);
    }
  }

  // Measures text `position` of the batch all sides just ran.
  void take(size_t index, const RunResult& x, const RunResult& y, const RunResult& z, const Batch& batch,
            int64_t position) {
    const Sequence& s = sequences_[index];
    const int64_t first = batch.offsets[position], length = batch.length(position);
    for (size_t i = 0; i < layers_.size(); ++i)
      layers_[i].add(row(x.layers[i], first, length), row(y.layers[i], first, length), s.text);
    const auto output = [&](const RunResult& r) { return output_of(r, batch, position); };
    const auto hidden = row(x.layers.back(), first, length);
    out_.text_cosines[index] =
        exact_meter_->add(index, s, {hidden, row(y.layers.back(), first, length)}, {output(x), output(y)});
    if (fast_) fast_meter_->add(index, s, {hidden, row(z.hidden, first, length)}, {output(x), output(z)});
  }

  void finish() {
    for (size_t i = 0; i < layers_.size(); ++i)
      out_.layers.push_back({i == 0 ? "embeddings" : fmt::format("layer {}", i), layers_[i].result()});
    out_.tensors = exact_meter_->tensors();
    out_.vectors = exact_meter_->vectors(options_.threads);
    out_.labels = exact_meter_->labels();
    out_.task = exact_meter_->scores();
    out_.drift = exact_meter_->drift();
    if (fast_)
      out_.run_mode = RunMode{.activations = name(fast_->engine_info().activations),
                              .variant = fast_->engine_info().variant,
                              .tensors = fast_meter_->tensors(),
                              .vectors = fast_meter_->vectors(options_.threads),
                              .labels = fast_meter_->labels(),
                              .task = fast_meter_->scores()};
    list_worst();
    if (!out_.labels) return;
    for (Flip& flip : out_.labels->listed) {
      const TextInput& text = input_.texts[static_cast<size_t>(flip.text)];
      flip.content = text.pair ? text.text + "  //  " + *text.pair : text.text;
      if (flip.token < 0) continue;
      const std::vector<int32_t>& ids = sequences_[static_cast<size_t>(flip.sequence)].ids;
      flip.content = a_.tokenizer().token(ids[static_cast<size_t>(flip.token)]) + ": " + flip.content;
    }
  }

  void list_worst() {
    std::vector<size_t> order(sequences_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::stable_sort(order, {}, [&](size_t i) { return out_.text_cosines[i]; });
    std::set<std::pair<std::string, std::optional<std::string>>> seen;
    for (size_t i : order) {
      if (out_.worst.size() == kWorstTexts) break;
      const Sequence& s = sequences_[i];
      const TextInput& text = input_.texts[s.text];
      WorstText worst{.text = s.part == 0 ? text.text : *text.pair,
                      .pair = classifies_texts() ? text.pair : std::nullopt,
                      .tokens = static_cast<int64_t>(s.ids.size()),
                      .cosine = out_.text_cosines[i]};
      if (seen.emplace(worst.text, worst.pair).second) out_.worst.push_back(std::move(worst));
    }
  }

  // On texts of all lengths: evenly spaced through the sequences sorted by length.
  void check_engines() {
    std::vector<size_t> order(sequences_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::stable_sort(order, {}, [&](size_t i) { return sequences_[i].ids.size(); });
    const size_t n = std::min(kCheckedTexts, order.size());
    std::array<RunRequest, 2> together{request(), request()};
    std::vector<std::array<RunRequest, 2>> alone(n, {request(), request()});
    for (size_t i = 0; i < n; ++i) {
      const Sequence& s = sequences_[order[n == 1 ? 0 : i * (order.size() - 1) / (n - 1)]];
      append(together, s);
      append(alone[i], s);
    }
    for (int side = 0; side < 2; ++side) {
      const TextRunner& runner = side == 0 ? a_ : b_;
      EngineChecks& checks = (side == 0 ? out_.original : out_.quantized).checks;
      checks.texts = static_cast<int64_t>(n);
      const RunResult once = runner.run(together[side]), again = runner.run(together[side]);
      const Matrix& batch = classifier_ ? once.logits : once.sentence;
      const Matrix& repeat = classifier_ ? again.logits : again.sentence;
      double largest = 0, apart = 0;
      for (size_t i = 0; i < batch.values.size(); ++i) {
        const double difference = std::fabs(static_cast<double>(batch.values[i]) - repeat.values[i]);
        checks.repeat_difference = std::max(checks.repeat_difference, difference);
        largest = std::max<double>(largest, std::fabs(batch.values[i]));
      }
      for (size_t i = 0; i < n; ++i) {
        const RunResult single = runner.run(alone[i][side]);
        const auto u = output_of(once, together[side].batch, static_cast<int64_t>(i)),
                   v = output_of(single, alone[i][side].batch, 0);
        for (size_t j = 0; j < u.size(); ++j)
          apart = std::max(apart, std::fabs(static_cast<double>(u[j]) - v[j]));
      }
      checks.batch_difference = apart == 0 ? 0 : apart / largest;
    }
  }

  const CompareInput& input_;
  const CompareOptions& options_;
  Comparison out_;
  TextRunner a_, b_;
  bool by_token_, classifier_;      // a token classifier is one too
  std::optional<TextRunner> fast_;  // the quantized side in the mode users run it in
  GateLimits limits_;
  std::vector<Sequence> sequences_;
  std::vector<DifferenceMeter> layers_;
  OutputTask task_;
  std::optional<OutputMeter> exact_meter_, fast_meter_;
};

}  // namespace

Comparison compare(const std::filesystem::path& original, const std::filesystem::path& quantized,
                   const CompareInput& input, const CompareOptions& options) {
  if (input.texts.empty())
    throw Error(ErrorCode::usage, "there are no texts to compare on; give at least one");
  Comparison comparison =
      with_file_errors([&] { return Comparing(original, quantized, input, options).result(); });
  if (std::error_code none; std::filesystem::is_regular_file(quantized / kParetoFile, none)) {
    const MappedFile file(quantized / kParetoFile);
    comparison.pareto_chart.assign(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  }
  return comparison;
}

const Difference& Comparison::tensor(std::string_view name) const {
  for (const NamedDifference& t : tensors)
    if (t.name == name) return t.difference;
  throw Error(ErrorCode::internal, fmt::format("the comparison has no tensor {}", name));
}

bool Comparison::passed() const {
  return std::ranges::all_of(gates, [](const Gate& g) { return g.passed; });
}

std::string Comparison::verdict() const {
  std::vector<std::string> failed;
  for (const Gate& g : gates)
    if (!g.passed)
      failed.push_back(fmt::format("{} is {:.4g}, its limit {:.4g}", g.name(), g.value, g.limit));
  const Difference& d = tensor(output);
  std::string facts =
      fmt::format("{:.2f} bits a weight instead of {:.2f}; {} cosine {:.5f} on average, {:.5f} at worst",
                  quantized.size.bits_per_weight, original.size.bits_per_weight,
                  output == "logits" ? "logits" : "sentence vectors", d.cosine.mean, d.cosine.min);
  if (vectors)
    facts += fmt::format(", relative error {:.4g}, {:.1f} % of the nearest {} kept", vectors->relative_error,
                         100 * vectors->neighbours_kept, vectors->neighbours);
  if (failed.empty())
    return fmt::format("passed all {} gate{}: {}", gates.size(), gates.size() == 1 ? "" : "s", facts);
  return fmt::format("failed {} of {} gates ({}): {}", failed.size(), gates.size(), fmt::join(failed, "; "),
                     facts);
}

}  // namespace mlxe
