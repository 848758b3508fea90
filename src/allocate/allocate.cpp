// Conversions to a target.
#include "mlx_encoder/allocate.h"

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <utility>

#include "allocate/held_out.h"
#include "allocate/recipe.h"
#include "allocate/target_costs.h"
#include "allocate/target_request.h"
#include "allocate/target_search.h"
#include "allocate/trials.h"
#include "allocate/whole_progress.h"
#include "base/file_errors.h"
#include "calibrate/calibration_texts.h"
#include "convert/plan_digest.h"
#include "convert/prepared_conversion.h"
#include "format/folder_writer.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace allocate {
namespace {

constexpr int64_t kCostTokens = 3072, kProofTokens = 16'384;
// Calibrating on one token takes as long as running this many tokens through the model. Only for the progress bar.
constexpr double kCalibrationWork = 5;
constexpr int kSearched = 5;  // approximate number of trials of a search; only for the progress bar

bool is_of_size(const Target& target) {
  return target.kind == TargetKind::size || target.kind == TargetKind::bits;
}

class TargetedConverter {
 public:
  TargetedConverter(const ConvertOptions& options, const Target& target, std::vector<TextInput> texts,
                    Outcome outcome)
      : options_(options), target_(target), outcome_(outcome) {
    options_.scheme = kBaseScheme;
    options_.scheme.dtype = options.scheme.dtype;
    const bool own_texts = !texts.empty();
    if (options.calibration) options_.calibration = calibrate::with_default_texts(*options.calibration);
    if (!own_texts && options.calibration) texts = options_.calibration->texts;
    origin_ = {.target = fmt::format("{} {}", option_of(target.kind), target.text),
               .request = request_of(options_, target, texts),
               .calibration = {}};
    if (texts.size() < kFewestTexts)
      throw Error(
          ErrorCode::usage,
          fmt::format("{}: found {} text{}, expected at least {} to measure the cost of fewer bits, better "
                      "some hundreds like those the model will see",
                      origin_.target, texts.size(), texts.size() == 1 ? "" : "s", kFewestTexts));
    texts_ = split(std::move(texts), kHeldOutEvery);
    if (!options.calibration) return;
    if (!own_texts) options_.calibration->texts = texts_.fitted.texts;
    origin_.calibration = {.method = options.calibration->method,
                           .limit = options.calibration->limit,
                           .texts = hash_of(options_.calibration->texts),
                           .held_out_every = own_texts ? 0 : kHeldOutEvery,
                           .built_in = options_.calibration->built_in};
  }

  TargetedConversion run() {
    result_.target = target_;
    if (std::optional<FinishedTarget> done = finished_before(options_, origin_.request)) {
      result_.conversion = std::move(done->conversion);
      result_.chosen = std::move(done->chosen);
      return std::move(result_);
    }
    const FolderClaim claim(options_.output, if_exists(options_.if_done), {options_.model});
    const PreparedConversion base(std::make_shared<const ConversionSource>(options_), options_);
    const TextRunner original(options_.model, {.engine = EngineKind::cpu,
                                               .activations = Activations::float32,
                                               .threads = options_.threads,
                                               .allow_unknown = options_.allow_unknown,
                                               .warning = options_.warning});
    output_ = options_.layout == Layout::mlx_embeddings ? Output::sentence : output_of(original.model());
    problem_ = original.model().problem_type;
    check_target();
    SensitivityRunner runner(original, output_, sequences_for_costs(original));
    // Before the long work, so that a text that can't be run is reported at once.
    const HeldOutTexts held_out(original, output_, texts_.held_out, kProofTokens);
    result_.held_out_texts = held_out.sequences();
    ChosenFor chosen_for = matrices_to_choose_for(base, runner.tensors());
    if (chosen_for.matrices.empty())
      throw Error(ErrorCode::usage,
                  fmt::format("{}: --keep and --set leave no matrix to choose bits for; give fewer patterns",
                              origin_.target));
    plan_progress(runner, chosen_for.matrices);
    const std::vector<TensorCosts> rounded = measure_target_costs(
        runner, chosen_for.matrices, options_.scheme.dtype, whole_->part("measuring", measuring_work_));
    const AllocationSpace space(
        base, options_.calibration ? after_calibration(rounded, options_, calibrating()) : rounded,
        std::move(chosen_for.fixed));

    Trials trials(claim, space, held_out);
    TargetSearch target_search(target_, space, trials, [this] { return calibrating(); });
    const TrialConversion chosen =
        is_of_size(target_)
            ? target_search.by_size(
                  has_labels(output_, problem_) ? TargetSearch::Labels::some : TargetSearch::Labels::none,
                  [this](std::string_view sentence) { warn(std::string(sentence)); })
            : target_search.by_measuring(held_out.vector_spread(), runner, rounded);
    original.checkpoint().require_unwritten();
    result_.one_width = target_search.chose_one_width();
    result_.trials = trials.all();
    result_.chosen = trials.trial(chosen);
    result_.conversion = outcome_ == Outcome::commit ? trials.commit(chosen, origin_)
                                                     : Conversion{.plan = chosen.allocation.conversion.plan(),
                                                                  .folder = options_.output,
                                                                  .calibration = {}};
    measure_sum(runner, rounded, chosen.allocation.schemes);
    whole_->finish();
    return std::move(result_);
  }

 private:
  void check_target() const {
    const auto refuse = [&](const char* why) {
      throw Error(ErrorCode::usage, fmt::format("{}: {}", origin_.target, why));
    };
    const bool labels = has_labels(output_, problem_);
    const bool of_vectors = target_.kind == TargetKind::cosine || target_.kind == TargetKind::relative_error;
    if (of_vectors && output_ != Output::sentence)
      refuse(labels ? "the model has a classifier, whose labels matter, not vectors; use --max-flips"
                    : "the model is a regression, which has no vectors to compare; use --target-size");
    if (target_.kind == TargetKind::flips && !labels)
      refuse(output_ == Output::sentence
                 ? "what is written has no labels that could change; use --min-cosine"
                 : "the model is a regression, which has no labels; use --target-size");
  }

  std::vector<Sequence> sequences_for_costs(const TextRunner& original) {
    std::vector<Sequence> sequences =
        spread(tokenize_both(original, original, texts_.fitted.texts, pairs_of(output_), options_.warning,
                             texts_.fitted.numbers),
               kCostTokens);
    result_.texts = static_cast<int64_t>(sequences.size());
    int64_t tokens = 0;
    for (const Sequence& s : sequences) tokens += static_cast<int64_t>(s.ids.size());
    if (tokens < kWantedTokens)
      warn(
          fmt::format("found {} tokens in {} texts to measure costs on, expected at least {}: the allocation "
                      "may suit only these texts",
                      tokens, sequences.size(), kWantedTokens));
    return sequences;
  }

  void warn(const std::string& sentence) const {
    if (options_.strict) throw Error(ErrorCode::strict, sentence + " (an error under --strict)");
    if (options_.warning) options_.warning(sentence);
  }

  // The unit of work is a run of one token through the whole model.
  void plan_progress(const SensitivityRunner& runner, const std::vector<TensorUse>& matrices) {
    measuring_work_ = work_of_costs(runner, matrices, kCostTokens);
    if (options_.calibration)
      calibrating_work_ = kCalibrationWork * static_cast<double>(calibrate::most_tokens(0));
    const int trials = !is_of_size(target_) ? kSearched : has_labels(output_, problem_) ? 2 : 1;
    whole_.emplace(options_.progress, measuring_work_ + calibrating_work_ * (1 + trials));
  }

  Progress calibrating() { return whole_->part("calibrating", calibrating_work_); }

  // For the chosen allocation with round-to-nearest: the sum of the matrices' costs, and their cost together.
  void measure_sum(SensitivityRunner& runner, const std::vector<TensorCosts>& rounded,
                   const std::map<std::string, Scheme>& schemes) {
    std::map<std::string, std::vector<float>> all;
    for (const TensorCosts& t : rounded) {
      const Scheme& chosen = schemes.at(t.use.name);
      all[t.use.name] = runner.round(t.use, chosen).values;
      for (const auto* list : {&t.measured, &t.inferred})
        for (const SchemeCost& c : *list)
          if (c.scheme == chosen) result_.rtn_sum += c.cost;
    }
    result_.rtn_together = runner.cost(all).cost;
  }

  ConvertOptions options_;
  Target target_;
  Outcome outcome_;
  RecipeOrigin origin_;
  Split texts_;
  Output output_ = Output::sentence;
  ProblemType problem_ = ProblemType::single_label;
  std::optional<WholeProgress> whole_;
  double measuring_work_ = 0, calibrating_work_ = 0;
  TargetedConversion result_;
};

}  // namespace
}  // namespace allocate

TargetedConversion convert_to_target(const ConvertOptions& options, const Target& target,
                                     std::vector<TextInput> texts, Outcome outcome) {
  return with_file_errors(
      [&] { return allocate::TargetedConverter(options, target, std::move(texts), outcome).run(); });
}

}  // namespace mlxe
