#include "mlx_encoder/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/file_errors.h"
#include "base/mapped_file.h"
#include "bench/machine.h"
#include "compare/default_gates.h"
#include "compare/engine_checks.h"
#include "compare/output_task.h"
#include "compare/side_by_side.h"
#include "compare/sides.h"
#include "compare/stored_size.h"
#include "convert/carried_files.h"
#include "format/linked_folders.h"
#include "gates/limits.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/version.h"

namespace mlxe {
namespace {

constexpr size_t kWorstTexts = 10;

// One comparison while it is made.
class Comparing {
 public:
  Comparing(const std::filesystem::path& original, const std::filesystem::path& quantized,
            const CompareInput& input, const CompareOptions& options)
      : input_(input),
        options_(options),
        warn_(warning()),
        sides_(original, quantized, options, warn_),
        task_(output_task(sides_, input, warn_)) {}

  Comparison result() {
    describe();
    set_gates();  // with zeros for values, so that a mistyped gate is reported before the long run
    sequences_ = tokenize_both(sides_.original(), sides_.quantized(), input_.texts, sides_.pairs(), warn_);
    count();
    SideBySide run(sides_, task_, sequences_);
    run.run(options_.progress);
    take(run);
    list_worst();
    if (out_.labels) quote_flips(out_.labels->listed);
    check_engines(sides_, sequences_, out_.original.checks, out_.quantized.checks);
    set_gates();
    for (const TextRunner* runner : {&sides_.original(), &sides_.quantized()})
      runner->checkpoint().require_unwritten();
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

  // Sets everything that is known before the run, and zeros for the values that will be measured.
  void describe() {
    for (auto [runner, model] :
         {std::pair(&sides_.original(), &out_.original), std::pair(&sides_.quantized(), &out_.quantized)}) {
      const EngineInfo engine = runner->engine_info();
      model->folder = with_shown_paths(runner->checkpoint().folder().string());
      model->model_type = runner->model().model_type;
      model->engine = engine.engine;
      model->variant = engine.variant;
      model->notes = engine.notes;
      model->size = stored_size(*runner);
      model->checks.batch_tolerance = batch_tolerance(engine);
    }
    const ExpectedCosine expected = expected_cosine(sides_.quantized().checkpoint());
    out_.bits = expected.bits();
    limits_ = with_defaults(options_.limits, expected.limit());
    out_.machine = describe_machine();
    out_.version = kVersion;
    out_.date = utc_date();

    out_.output = task_.output();
    out_.listed = task_.listed();
    out_.tensors = {{"last_hidden_state", {}}, {out_.output, {}}};
    if (task_.has_probabilities()) {
      out_.tensors.push_back({"probabilities", {}});
      out_.labels = LabelDifference{};
    }
    for (int64_t i = 0; i <= sides_.original().model().layers(); ++i)
      out_.layers.push_back({layer_name(static_cast<size_t>(i)), {}});
    out_.drift = {{.sample = task_.sample()}, {.sample = "values"}};
    if (!task_.classifier) out_.vectors = VectorSpace{};
    if (!task_.gold.empty()) out_.task = {{"accuracy"}, {"macro_f1"}};
    if (!task_.scores.empty()) out_.task.insert(out_.task.end(), {{"spearman"}, {"pearson"}});
  }

  void set_gates() { out_.gates = apply_gates(out_, limits_, options_.gates); }

  void count() {
    out_.texts = static_cast<int64_t>(sequences_.size());
    for (const Sequence& s : sequences_) out_.tokens += static_cast<int64_t>(s.ids.size());
    task_.sequences = out_.texts;
    task_.tokens = out_.tokens;
    if (!task_.classifier) task_.different = different_sequences(sequences_);
  }

  void take(const SideBySide& run) {
    const OutputMeter& exact = run.exact();
    out_.layers = run.layers();
    out_.text_cosines = run.text_cosines();
    out_.tensors = exact.tensors();
    out_.vectors = exact.vectors(options_.threads);
    out_.labels = exact.labels();
    out_.task = exact.scores();
    out_.drift = exact.drift();
    if (sides_.fast() == nullptr) return;
    const EngineInfo engine = sides_.fast()->engine_info();
    out_.run_mode = RunMode{.activations = name(engine.activations),
                            .variant = engine.variant,
                            .tensors = run.fast().tensors(),
                            .vectors = run.fast().vectors(options_.threads),
                            .labels = run.fast().labels(),
                            .task = run.fast().scores()};
  }

  void quote_flips(std::vector<Flip>& flips) const {
    for (Flip& flip : flips) {
      const TextInput& text = input_.texts[static_cast<size_t>(flip.text)];
      flip.content = text.pair ? text.text + "  //  " + *text.pair : text.text;
      if (flip.token < 0) continue;
      const std::vector<int32_t>& ids = sequences_[static_cast<size_t>(flip.sequence)].ids;
      flip.content = sides_.original().texts().tokenizer().token(ids[static_cast<size_t>(flip.token)]) +
                     ": " + flip.content;
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
                      .pair = sides_.pairs() == Pairs::together ? text.pair : std::nullopt,
                      .tokens = static_cast<int64_t>(s.ids.size()),
                      .cosine = out_.text_cosines[i]};
      if (seen.emplace(worst.text, worst.pair).second) out_.worst.push_back(std::move(worst));
    }
  }

  const CompareInput& input_;
  const CompareOptions& options_;
  Comparison out_;
  Warning warn_;
  Sides sides_;
  OutputTask task_;
  GateLimits limits_;
  std::vector<Sequence> sequences_;
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

}  // namespace mlxe
