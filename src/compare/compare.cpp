#include "mlx_encoder/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <ctime>
#include <numeric>
#include <set>

#include "compare/gates.h"
#include "compare/label_metrics.h"
#include "compare/machine.h"
#include "compare/metrics.h"
#include "compare/sequences.h"
#include "compare/stored_size.h"
#include "encoder/text_runner.h"
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
constexpr size_t kListedFlips = 50;
constexpr size_t kCheckedTexts = 8;
// mlx pads a batch, so a product may sum in another order: float32 rounding over some ten layers of sums of
// 3072 stays below 12 * sqrt(3072) * 2^-24 * (a few) = 1e-4 of the largest value.
constexpr double kPaddedTolerance = 1e-4;

std::span<const float> row(const Matrix& m, int64_t first, int64_t count = 1) {
  return std::span(m.values).subspan(static_cast<size_t>(first * m.columns),
                                     static_cast<size_t>(count * m.columns));
}

std::string lowercase(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
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
}

// Gold labels as indices into the model's labels: by name, case ignored, or by number.
std::vector<int64_t> gold_indices(const std::vector<std::string>& gold,
                                  const std::vector<std::string>& labels) {
  std::map<std::string, int64_t> known;
  for (size_t i = 0; i < labels.size(); ++i) {
    known.emplace(lowercase(labels[i]), static_cast<int64_t>(i));
    known.emplace(std::to_string(i), static_cast<int64_t>(i));
  }
  std::vector<int64_t> indices;
  for (size_t i = 0; i < gold.size(); ++i) {
    const auto found = known.find(lowercase(gold[i]));
    if (found == known.end())
      throw Error(ErrorCode::format, fmt::format("text {}: the gold label \"{}\" is none of the model's: {}",
                                                 i + 1, gold[i], fmt::join(labels, ", ")));
    indices.push_back(found->second);
  }
  return indices;
}

// One comparison while it runs.
class Comparing {
 public:
  Comparing(const std::filesystem::path& original, const std::filesystem::path& quantized,
            const CompareInput& input, const CompareOptions& options)
      : input_(input),
        options_(options),
        a_(original, encoder_options()),
        b_(quantized, encoder_options()),
        classifier_(a_.model().classifier && b_.model().classifier) {}

  Comparison result() {
    check_same_model(a_, b_);
    describe();
    choose_tensors();
    choose_task();
    set_gates();  // a mistyped gate is said before the long run, with values of zero
    sequences_ = tokenize_both(a_, b_, input_.texts, classifier_ ? Pairs::together : Pairs::apart,
                               options_.threads, warning());
    run();
    finish_tensors();
    finish_task();
    check_engines();
    set_gates();
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
  EncoderOptions encoder_options() {
    return {.engine = options_.engine,
            .activations = Activations::float32,
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
    if (a_.model().classifier && !b_.model().classifier)
      warning()("the converted folder has no classifier: its sentence vectors are compared instead");
    const ExpectedCosine expected = expected_cosine(b_.checkpoint());
    out_.bits = expected.bits();
    limits_ = options_.limits;
    if (!limits_.cosine) limits_.cosine = expected.limit();
    out_.machine = describe_machine();
    out_.version = kVersion;
    const std::time_t now = std::time(nullptr);
    char date[32];
    out_.date.assign(date, std::strftime(date, sizeof date, "%Y-%m-%d", std::gmtime(&now)));
  }

  ProblemType problem() const { return a_.model().problem_type; }

  void choose_tensors() {
    out_.tensors.push_back({"last_hidden_state", {}});
    if (!classifier_) {
      out_.output = out_.listed = "pooled_vector";
      out_.tensors.push_back({"pooled_vector", {}});
      return;
    }
    out_.output = out_.listed = "logits";
    out_.tensors.push_back({"logits", {}});
    if (problem() == ProblemType::regression) return;
    out_.tensors.push_back({"probabilities", {}});
    out_.listed = "probabilities";
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
        classifier_ && problem() == ProblemType::single_label && a_.model().classifier->out.out > 1;
    if (!input_.labels.empty()) {
      if (one_label)
        gold_ = gold_indices(input_.labels, a_.model().labels);
      else
        warning()("the gold labels are ignored: this is no classifier of one label a text");
    }
    if (!input_.scores.empty()) {
      if (classifier_ ? a_.model().classifier->out.out == 1 : pairs)
        scored_ = true;
      else
        warning()(
            "the gold scores are ignored: they need an embedding model and pairs, or a model with one "
            "output");
    }
    if (!gold_.empty()) out_.task = {{"accuracy"}, {"macro_f1"}};
    if (scored_) out_.task.insert(out_.task.end(), {{"spearman"}, {"pearson"}});
  }

  void set_gates() { out_.gates = apply_gates(out_, limits_, options_.gates); }

  void run() {
    out_.texts = static_cast<int64_t>(sequences_.size());
    for (const Sequence& s : sequences_) out_.tokens += static_cast<int64_t>(s.ids.size());
    if (out_.tokens == 0) throw Error(ErrorCode::usage, "the texts hold no tokens; give some text");
    const int64_t hidden = a_.model().hidden_size();
    for (int64_t i = 0; i <= a_.model().layers(); ++i) layers_.emplace_back(out_.tokens, hidden);
    if (classifier_) label_meter_.emplace(problem(), a_.model().labels, kListedFlips);
    out_.text_cosines.resize(sequences_.size());
    if (scored_)
      for (auto& side : similarity_) side.resize(input_.texts.size());
    if (!gold_.empty())
      for (auto& side : predicted_) side.resize(input_.texts.size());

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
    for (auto& side : vectors_) side.assign(scored_ && !classifier_ ? end - begin : 0, {});
    for (size_t next = 0; next < order.size();) {
      std::array<RunRequest, 2> requests{request(), request()};
      const size_t first = next;
      do {
        append(requests, sequences_[order[next++]]);
      } while (next < order.size() &&
               requests[0].batch.tokens() + static_cast<int64_t>(sequences_[order[next]].ids.size()) <=
                   kBatchTokens);
      const RunResult x = a_.run(requests[0]), y = b_.run(requests[1]);
      for (size_t i = first; i < next; ++i)
        take(order[i], begin, x, y, requests[0].batch, static_cast<int64_t>(i - first));
    }
    if (scored_ && !classifier_)
      for (size_t i = begin; i + 1 < end; ++i)
        if (sequences_[i + 1].part == 1)
          for (int side = 0; side < 2; ++side)
            similarity_[side][sequences_[i].text] =
                row_cosine(vectors_[side][i - begin], vectors_[side][i + 1 - begin]);
  }

  RunRequest request() const {
    RunRequest r;
    r.layers = true;
    r.sentence = !classifier_;
    r.logits = classifier_;
    return r;
  }

  static void append(std::array<RunRequest, 2>& requests, const Sequence& s) {
    for (int side = 0; side < 2; ++side)
      requests[side].batch.append(s.ids, s.type_ids[side], s.pool_from[side]);
  }

  // Measures text `position` of the batch both sides just ran.
  void take(size_t index, size_t window, const RunResult& x, const RunResult& y, const Batch& batch,
            int64_t position) {
    const Sequence& s = sequences_[index];
    const int64_t first = batch.offsets[position], length = batch.length(position);
    for (size_t i = 0; i < layers_.size(); ++i)
      layers_[i].add(row(x.layers[i], first, length), row(y.layers[i], first, length), s.text);

    const Matrix& p = classifier_ ? x.logits : x.sentence;
    const Matrix& q = classifier_ ? y.logits : y.sentence;
    const auto u = row(p, position), v = row(q, position);
    if (!output_) {
      if (p.columns != q.columns)
        throw Error(ErrorCode::unsupported,
                    fmt::format("the original's vectors have {} values, the conversion's {}; "
                                "compare a model with a conversion of itself",
                                p.columns, q.columns));
      output_.emplace(out_.texts, p.columns);
      probabilities_.emplace(out_.texts, p.columns);
    }
    double& cosine = out_.text_cosines[index];
    cosine = output_->add(u, v, s.text);
    if (classifier_) {
      if (const auto of_probabilities = take_labels(s.text, u, v)) cosine = *of_probabilities;
    } else if (scored_) {
      vectors_[0][index - window].assign(u.begin(), u.end());
      vectors_[1][index - window].assign(v.begin(), v.end());
    }
  }

  // The cosine of the probabilities, if there are any.
  std::optional<double> take_labels(int64_t text, std::span<const float> u, std::span<const float> v) {
    if (scored_) {
      similarity_[0][text] = u[0];
      similarity_[1][text] = v[0];
    }
    if (!out_.labels) return std::nullopt;
    label_meter_->add(text, u, v);
    std::array<std::vector<float>, 2> p;
    for (int side = 0; side < 2; ++side) {
      const std::vector<double> exact = probabilities(problem(), side == 0 ? u : v);
      p[side].assign(exact.begin(), exact.end());
      if (!gold_.empty()) predicted_[side][text] = decided_labels(problem(), exact).front();
    }
    return probabilities_->add(p[0], p[1], text);
  }

  void finish_tensors() {
    for (size_t i = 0; i < layers_.size(); ++i)
      out_.layers.push_back({i == 0 ? "embeddings" : fmt::format("layer {}", i), layers_[i].result()});
    for (NamedDifference& t : out_.tensors) {
      if (t.name == "last_hidden_state") t.difference = out_.layers.back().difference;
      if (t.name == out_.output) t.difference = output_->result();
      if (t.name == "probabilities") t.difference = probabilities_->result();
    }
    if (out_.labels) out_.labels = label_meter_->result();

    list_worst();
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
                      .pair = classifier_ ? text.pair : std::nullopt,
                      .tokens = static_cast<int64_t>(s.ids.size()),
                      .cosine = out_.text_cosines[i]};
      if (seen.emplace(worst.text, worst.pair).second) out_.worst.push_back(std::move(worst));
    }
  }

  void finish_task() {
    for (TaskScore& t : out_.task)
      for (int side = 0; side < 2; ++side) {
        double& score = side == 0 ? t.original : t.quantized;
        if (t.metric == "accuracy") score = accuracy(gold_, predicted_[side]);
        if (t.metric == "macro_f1") score = macro_f1(gold_, predicted_[side]);
        if (t.metric == "spearman") score = spearman(input_.scores, similarity_[side]);
        if (t.metric == "pearson") score = pearson(input_.scores, similarity_[side]);
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
        const auto u = row(batch, static_cast<int64_t>(i)),
                   v = row(classifier_ ? single.logits : single.sentence, 0);
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
  bool classifier_, scored_ = false;
  GateLimits limits_;
  std::vector<Sequence> sequences_;
  std::vector<DifferenceMeter> layers_;
  std::optional<DifferenceMeter> output_, probabilities_;
  std::optional<LabelMeter> label_meter_;
  std::vector<int64_t> gold_;
  std::array<std::vector<int64_t>, 2> predicted_;
  std::array<std::vector<double>, 2> similarity_;           // by text
  std::array<std::vector<std::vector<float>>, 2> vectors_;  // of the current window, where pairs are scored
};

}  // namespace

Comparison compare(const std::filesystem::path& original, const std::filesystem::path& quantized,
                   const CompareInput& input, const CompareOptions& options) {
  if (input.texts.empty())
    throw Error(ErrorCode::usage, "there are no texts to compare on; give at least one");
  return Comparing(original, quantized, input, options).result();
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
  const std::string facts =
      fmt::format("{:.2f} bits a weight instead of {:.2f}; {} cosine {:.5f} on average, {:.5f} at worst",
                  quantized.size.bits_per_weight, original.size.bits_per_weight,
                  output == "logits" ? "logits" : "sentence vectors", d.cosine.mean, d.cosine.min);
  if (failed.empty())
    return fmt::format("passed all {} gate{}: {}", gates.size(), gates.size() == 1 ? "" : "s", facts);
  return fmt::format("failed {} of {} gates ({}): {}", failed.size(), gates.size(), fmt::join(failed, "; "),
                     facts);
}

}  // namespace mlxe
