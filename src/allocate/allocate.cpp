// Conversions to a target.
#include "mlx_encoder/allocate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <ranges>
#include <set>

#include "allocate/costs.h"
#include "allocate/held_out.h"
#include "allocate/pareto_chart.h"
#include "allocate/recipe.h"
#include "allocate/solver.h"
#include "allocate/whole_progress.h"
#include "base/file_errors.h"
#include "base/sha256.h"
#include "calibrate/calibrate.h"
#include "calibrate/calibration_texts.h"
#include "convert/blueprint.h"
#include "convert/carried_files.h"
#include "convert/claimed_convert.h"
#include "format/folder_stamp.h"
#include "format/folder_writer.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/version.h"
#include "quant/policy.h"
#include "quant/sources_hash.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace allocate {
namespace {

constexpr int64_t kCostTokens = 3072, kProofTokens = 16'384;
constexpr int kBits[] = {2, 4}, kOtherBits[] = {3, 5, 6, 8};  // measured, inferred
// Tokens whose run through the model takes as long as calibrating on one; for the bar alone.
constexpr double kCalibrationWork = 5;
constexpr int kSearched = 5;  // trials a search takes, about; for the bar alone
constexpr int kGroup = 64;    // at which costs are measured
constexpr int kOtherGroups[] = {32, 128};
constexpr Scheme kUnread{Mode::affine, 8, 64, Dtype::f16};  // of a matrix the output does not read

struct Rejected {};  // a trial conversion that is not kept

class TargetedConverter {
 public:
  TargetedConverter(const ConvertOptions& options, const Target& target, std::vector<TextInput> texts,
                    Outcome outcome)
      : options_(options), stamp_(options.model), target_(target), outcome_(outcome) {
    options_.scheme = {Mode::affine, kUnread.bits, kUnread.group_size, options.scheme.dtype};
    const bool own_texts = !texts.empty();
    if (options.calibration) options_.calibration = calibrate::resolved(*options.calibration);
    if (!own_texts && options.calibration) texts = options_.calibration->texts;
    request_ = request_of(texts);
    if (texts.size() < kFewestTexts)
      throw Error(
          ErrorCode::usage,
          fmt::format("{} {}: found {} text{}, at least {} are needed to measure what fewer bits cost, "
                      "better some hundreds like those the model will see",
                      option_of(target.kind), target.text, texts.size(), texts.size() == 1 ? "" : "s",
                      kFewestTexts));
    texts_ = split(std::move(texts), kHeldOutEvery);
    if (!options.calibration) return;
    if (!own_texts) options_.calibration->texts = texts_.kept;
    calibration_ = {.method = options.calibration->method,
                    .limit = options.calibration->limit,
                    .texts = hash_of(options_.calibration->texts),
                    .held_out_every = own_texts ? 0 : kHeldOutEvery,
                    .built_in = options_.calibration->built_in};
  }

  TargetedConversion run() {
    result_.target = target_;
    if (std::optional<Conversion> done = done_before()) {
      result_.conversion = std::move(*done);
      return std::move(result_);
    }
    const FolderClaim claim(options_.output, if_exists(options_.if_done), {options_.model});
    claim_ = &claim;
    const TextRunner runner(options_.model, {.engine = EngineKind::cpu,
                                             .activations = Activations::float32,
                                             .threads = options_.threads,
                                             .warning = options_.warning});
    output_ = options_.layout == Layout::mlx_embeddings ? OutputKind::vector : output_of(runner.model());
    problem_ = runner.model().problem_type;
    check_target();
    ThreadPool pool(options_.threads);
    const std::vector<Sequence> sequences =
        spread(tokenize_both(runner, runner, texts_.kept,
                             output_ == OutputKind::logits ? Pairs::together : Pairs::apart, options_.threads,
                             options_.warning),
               kCostTokens);
    result_.texts = static_cast<int64_t>(sequences.size());
    check_tokens(sequences);
    Probe probe(runner, output_, sequences, pool);
    const std::vector<TensorCosts> costs = measure(probe);
    const Choices choices(options_, costs, fixed_);
    choices_ = &choices;
    const HeldOutTexts held_out(runner, output_, texts_.held_out, kProofTokens, options_.threads);
    held_out_ = &held_out;
    result_.held_out_texts = held_out.sequences();

    measure_sum(probe, target_.kind == TargetKind::size || target_.kind == TargetKind::bits
                           ? make_sized()
                           : make_searched(probe, costs));
    whole_->finish();
    return std::move(result_);
  }

 private:
  std::string request_of(const std::vector<TextInput>& texts) const {
    std::string text = fmt::format(
        "mlx-encoder {} {}\n{} {}\n{} {}\n{}\n", kVersion, conversion_sources_hash(), option_of(target_.kind),
        target_.value, static_cast<int>(options_.layout), to_string(options_.scheme), hash_of(texts));
    for (const std::string& s : options_.keep) text += "keep " + s + "\n";
    for (const std::string& s : options_.overrides) text += "set " + s + "\n";
    if (options_.calibration)
      text += fmt::format("calibration {} {} {} {}\n", mlxe::name(options_.calibration->method),
                          options_.calibration->limit, hash_of(options_.calibration->texts),
                          static_cast<int>(options_.calibration->built_in));
    return sha256_hex(std::as_bytes(std::span(text)));
  }

  // The conversion that was asked for, if the output folder holds it. Says early what convert() would say
  // after all the measuring. Errors: usage.
  std::optional<Conversion> done_before() {
    if (options_.if_done == IfDone::rewrite || !fs::exists(options_.output)) return std::nullopt;
    if (fs::is_directory(options_.output) && fs::is_empty(options_.output)) return std::nullopt;
    if (fs::exists(options_.output / kRecipeFile)) {
      const Recipe recipe = Recipe::read(options_.output / kRecipeFile);
      if (recipe.request == request_) {
        ConvertOptions again = options_;
        again.scheme = recipe.scheme;
        again.allocation = recipe.allocation();
        again.keep.clear();
        again.overrides.clear();
        Conversion conversion = convert(again);  // skipped, or an error where something has changed
        add_own_files(conversion);
        result_.chosen = trial_of(recipe, conversion);
        return conversion;
      }
    }
    if (options_.if_done == IfDone::renew) return std::nullopt;
    throw Error(ErrorCode::usage,
                fmt::format("{}: holds something else; pass --force to replace it or choose another folder",
                            options_.output.string()));
  }

  static void add_own_files(Conversion& conversion) {
    for (const char* file : {kRecipeFile, kParetoFile})
      if (fs::exists(conversion.folder / file))
        conversion.plan.folder_bytes += fs::file_size(conversion.folder / file);
  }

  Trial trial_of(const Recipe& recipe, const Conversion& conversion) const {
    const nlohmann::json& m = recipe.measured;
    return {
        .bytes = conversion.bytes,
        .bits = conversion.plan.bits_per_weight,
        .predicted = m.value("predicted", 0.0),
        .measured = {.metric = m.value("metric", ""),
                     .cost = m.value("cost", 0.0),
                     .relative_error = m.value("relative_error", 0.0),
                     .flips = m.contains("flips") && m["flips"].is_number() ? m["flips"].get<double>() : 0,
                     .labels = m.contains("flips") && m["flips"].is_number(),
                     .rows = m.value("rows", int64_t{0})}};
  }

  void check_target() const {
    const auto refuse = [&](const char* why) {
      throw Error(ErrorCode::usage, fmt::format("{} {}: {}", option_of(target_.kind), target_.text, why));
    };
    const bool labels = has_labels(output_, problem_);
    if (is_of_vectors() && output_ != OutputKind::vector)
      refuse(labels ? "the model has a classifier, whose labels matter, not vectors; use --max-flips"
                    : "the model is a regression, which has no vectors to compare; use --target-size");
    if (target_.kind == TargetKind::flips && !labels)
      refuse(output_ == OutputKind::vector
                 ? "what is written has no labels that could change; use --min-cosine"
                 : "the model is a regression, which has no labels; use "
                   "--target-size");
  }

  bool is_of_vectors() const {
    return target_.kind == TargetKind::cosine || target_.kind == TargetKind::relative_error;
  }

  void check_tokens(const std::vector<Sequence>& sequences) const {
    int64_t tokens = 0;
    for (const Sequence& s : sequences) tokens += static_cast<int64_t>(s.ids.size());
    if (tokens < kWantedTokens)
      warn(
          fmt::format("found {} tokens in the {} texts fewer bits are measured on, at least {} are wanted: "
                      "the allocation may fit these texts and no others",
                      tokens, sequences.size(), kWantedTokens));
  }

  void warn(const std::string& sentence) const {
    if (options_.strict) throw Error(ErrorCode::strict, sentence + " (an error under --strict)");
    if (options_.warning) options_.warning(sentence);
  }

  // Costs of the matrices that are free to choose for; `fixed_` gets those the output does not read.
  std::vector<TensorCosts> measure(Probe& probe) {
    const Policy policy(options_.scheme, options_.keep, options_.overrides);
    ConvertOptions plain = options_;
    plain.calibration = {};  // only to be planned
    plain.warning = {};
    plain.strict = false;
    const Blueprint blueprint = make_blueprint(plain, Purpose::convert);
    std::set<std::string> free;
    for (size_t i = 0; i < blueprint.work.size(); ++i) {
      const std::string& name = blueprint.work[i].source.name;
      if (blueprint.plan.tensors[i].scheme.mode != Mode::none && !policy.is_named(name)) free.insert(name);
    }
    std::vector<TensorUse> tensors;
    for (const TensorUse& t : probe.tensors())
      if (free.erase(t.name) > 0) tensors.push_back(t);
    for (const std::string& name : free) {
      fixed_[name] = kUnread;
      fixed_[name].dtype = options_.scheme.dtype;
    }
    if (tensors.empty())
      throw Error(ErrorCode::usage, fmt::format("{} {}: --keep and --set leave no matrix to choose bits for",
                                                option_of(target_.kind), target_.text));
    plan_progress(probe, tensors);
    std::vector<TensorCosts> costs =
        measure_costs(probe, tensors,
                      {.bits = {std::begin(kBits), std::end(kBits)},
                       .group_size = kGroup,
                       .other_bits = {std::begin(kOtherBits), std::end(kOtherBits)},
                       .other_groups = {std::begin(kOtherGroups), std::end(kOtherGroups)},
                       .dtype = options_.scheme.dtype},
                      whole_->part("measuring", measuring_work_));
    plain_costs_ = costs;
    if (options_.calibration) discount(costs);
    costs_ = costs;
    return costs;
  }

  // Work is in runs of a token through the whole model.
  void plan_progress(const Probe& probe, const std::vector<TensorUse>& tensors) {
    double layers = 0;
    for (const TensorUse& t : tensors) layers += probe.stages() - t.stage;
    measuring_work_ = layers / probe.stages() * static_cast<double>(kCostTokens * std::size(kBits));
    if (options_.calibration)
      calibrating_work_ = kCalibrationWork * static_cast<double>(calibrate::most_tokens(0));
    const bool sized = target_.kind == TargetKind::size || target_.kind == TargetKind::bits;
    const int trials = !sized ? kSearched : has_labels(output_, problem_) ? 2 : 1;
    whole_.emplace(options_.progress, measuring_work_ + calibrating_work_ * (1 + trials));
  }

  // What calibration saves differs from matrix to matrix: much where inputs are correlated, little in tables.
  // One calibration at 4 bits says how much; an output's cost goes as the square of a matrix's error.
  void discount(std::vector<TensorCosts>& costs) {
    std::map<std::string, Scheme> schemes;
    for (const TensorCosts& t : costs)
      for (const SchemeCost& m : t.measured)
        if (m.scheme.bits == 4) schemes[t.use.name] = m.scheme;
    const CalibratedWeights calibrated =
        calibrate_weights(options_.model, *options_.calibration, schemes, options_.threads, {},
                          whole_->part("calibrating", calibrating_work_));
    for (const TensorCalibration& report : calibrated.report)
      for (TensorCosts& t : costs) {
        if (t.use.name != report.name || !(report.plain_error > 0)) continue;
        const double ratio = report.error / report.plain_error;
        for (auto* list : {&t.measured, &t.inferred})
          for (SchemeCost& c : *list) c.cost *= ratio * ratio;
      }
  }

  // One width for all matrices that are free to choose for.
  struct OneWidth {
    ConvertOptions options;
    std::map<std::string, Scheme> schemes;
    double predicted = 0;
  };

  // The widest within the target.
  std::optional<OneWidth> one_width() const {
    const auto widths = of_one_width(costs_);
    for (const auto& [bits, tensors] : widths | std::views::reverse) {
      OneWidth uniform{.options = options_, .schemes = {}};
      for (const auto& [name, choice] : tensors) {
        uniform.schemes[name] = choice.scheme;
        uniform.predicted += choice.cost;
      }
      uniform.options.scheme = {Mode::affine, bits, kGroup, options_.scheme.dtype};
      uniform.options.allocation = uniform.schemes;
      uniform.options.allocation.insert(fixed_.begin(), fixed_.end());
      if (is_within(quiet_plan(uniform.options), target_)) return uniform;
    }
    return std::nullopt;
  }

  // Costs of a classifier's matrices hardly add up, so that one width for all may do better than what their
  // sum chose: both are measured.
  std::map<std::string, Scheme> make_sized() {
    const auto always = [](const HeldOut&) { return true; };
    const size_t point = solve_size(*choices_, target_, [&](std::string_view s) { warn(std::string(s)); });
    const std::optional<OneWidth> uniform =
        has_labels(output_, problem_) ? one_width() : std::optional<OneWidth>();
    if (!uniform) {
      make(point, always);
      return choices_->schemes(point);
    }
    make(uniform->options, uniform->predicted, [](const HeldOut&) { return false; });
    const double limit = result_.trials.back().measured.cost;
    if (make(point, [&](const HeldOut& m) { return m.cost <= limit; })) return choices_->schemes(point);
    result_.one_width = true;
    make(uniform->options, uniform->predicted, always);
    return uniform->schemes;
  }

  std::map<std::string, Scheme> make_searched(Probe& probe, const std::vector<TensorCosts>& costs) {
    const bool flips = target_.kind == TargetKind::flips;
    const bool relative = target_.kind == TargetKind::relative_error;
    // A relative error is a cost over how far the original's vectors lie apart, one number for all trials.
    const double unit = relative ? held_out_->vector_spread() : 1;
    if (relative && !(unit > 0))
      throw Error(
          ErrorCode::usage,
          fmt::format("{} {}: the model gives every held-out text the same vector; give different texts",
                      option_of(target_.kind), target_.text));
    Search how{.limit = unit * (target_.kind == TargetKind::cosine ? 1 - target_.value : target_.value),
               .exponent = flips ? 0.5 : 1.0};
    // Everything at 4 bits says how the whole grows from its parts.
    std::map<std::string, std::vector<float>> all;
    double sum = 0;
    for (size_t t = 0; t < plain_costs_.size(); ++t)
      for (const SchemeCost& m : plain_costs_[t].measured)
        if (m.scheme.bits == 4) {
          all[costs[t].use.name] = probe.round(costs[t].use, m.scheme).values;
          sum += m.cost;
        }
    const OutputCost whole = probe.cost(all);
    const double found = flips ? whole.flips : whole.cost;
    if (found > 0 && sum > 0) how.factor = found / std::pow(sum, how.exponent);
    const auto figure = [&](const HeldOut& m) { return flips ? m.flips : m.cost; };
    double nearest = 0;
    bool kept = false;
    const std::optional<size_t> point = search(
        choices_->frontier(), how,
        [&](size_t i, const std::function<bool(double)>& last) {
          kept = make(i, [&](const HeldOut& m) { return last(figure(m)); });
          return figure(result_.trials.back().measured);
        },
        choices_->rest_bytes(), nearest);
    if (!point)
      throw Error(ErrorCode::usage,
                  fmt::format("{} {}: not even every matrix as a float of {} reaches it; the nearest is {}, "
                              "nothing was written",
                              option_of(target_.kind), target_.text,
                              to_string(Scheme{.dtype = options_.scheme.dtype}),
                              flips      ? fmt::format("{:.3f} %", 100 * nearest)
                              : relative ? fmt::format("{:.6f}", nearest / unit)
                                         : fmt::format("{:.6f}", 1 - nearest)));
    if (!kept) make(*point, [](const HeldOut&) { return true; });
    return choices_->schemes(*point);
  }

  bool make(size_t point, const std::function<bool(const HeldOut&)>& keep) {
    return make(choices_->options(point), choices_->frontier().total(point).cost, keep);
  }

  // Converts and measures on the held-out texts; keeps the folder if `keep` says so and it is to be kept at
  // all. Whether `keep` said so.
  bool make(ConvertOptions options, double predicted, const std::function<bool(const HeldOut&)>& keep) {
    const ConversionPlan plan = quiet_plan(options);
    Trial trial{
        .bytes = plan.predicted_bytes, .bits = plan.bits_per_weight, .predicted = predicted, .measured = {}};
    bool wanted = false;
    options.progress = whole_->part("calibrating", calibrating_work_);
    options.before_commit = [&](const fs::path& folder) {
      trial.measured = held_out_->measure(folder);
      wanted = keep(trial.measured);
      if (!wanted || outcome_ == Outcome::discard) throw Rejected{};
      write_recipe(options, plan, trial, folder);
      write_whole_file(folder / kParetoFile, pareto_chart(*choices_, costs_, trial, result_.trials),
                       Placement::fresh);
      if (options_.before_commit) options_.before_commit(folder);
    };
    try {
      result_.conversion = convert(options, *claim_);
      add_own_files(result_.conversion);
    } catch (const Rejected&) {
      result_.conversion = {.plan = plan, .folder = options.output};
    }
    result_.trials.push_back(trial);
    result_.chosen = trial;
    return wanted;
  }

  void write_recipe(const ConvertOptions& options, const ConversionPlan& plan, const Trial& trial,
                    const fs::path& folder) const {
    Recipe recipe{.target = fmt::format("{} {}", option_of(target_.kind), target_.text),
                  .request = request_,
                  .source = {},
                  .layout = options.layout,
                  .scheme = options.scheme,
                  .calibration = calibration_,
                  .tensors = {},
                  .measured = {{"bytes", trial.bytes},
                               {"bits_per_weight", trial.bits},
                               {"predicted", trial.predicted},
                               {"metric", trial.measured.metric},
                               {"cost", trial.measured.cost},
                               {"relative_error", trial.measured.relative_error},
                               {"flips", trial.measured.labels ? nlohmann::json(trial.measured.flips)
                                                               : nlohmann::json()},
                               {"rows", trial.measured.rows}}};
    ConvertOptions quiet = options;
    quiet.warning = {};
    quiet.strict = false;
    const Blueprint blueprint = make_blueprint(quiet, Purpose::convert);
    stamp_.require_unchanged(blueprint.source_files);  // since costs were measured, too
    for (size_t i = 0; i < blueprint.work.size(); ++i) {
      const PlannedTensor& t = plan.tensors[i];
      if (t.scheme.mode == Mode::none && t.role != "linear" && t.role != "embedding") continue;
      if (blueprint.work[i].origin != Work::Origin::stored) continue;
      recipe.tensors.push_back({blueprint.work[i].source.name, t.shape, t.scheme});
    }
    for (const std::string& file : blueprint.source_files)
      if (file.ends_with(".safetensors") && file.find('/') == file.npos)
        recipe.source[file] = sha256_hex(options.model / file);
    write_whole_file(folder / kRecipeFile, recipe.text(), Placement::fresh);
  }

  // How far the parts are from the whole, of the allocation chosen.
  void measure_sum(Probe& probe, const std::map<std::string, Scheme>& schemes) {
    std::map<std::string, std::vector<float>> all;
    for (const TensorCosts& t : plain_costs_) {
      const Scheme& chosen = schemes.at(t.use.name);
      all[t.use.name] = probe.round(t.use, chosen).values;
      for (const auto* list : {&t.measured, &t.inferred})
        for (const SchemeCost& c : *list)
          if (c.scheme == chosen) result_.plain_sum += c.cost;
    }
    result_.plain_whole = probe.cost(all).cost;
  }

  ConvertOptions options_;
  FolderStamp stamp_;
  Target target_;
  Outcome outcome_;
  Split texts_;
  std::optional<RecipeCalibration> calibration_;
  std::string request_;
  OutputKind output_ = OutputKind::vector;
  ProblemType problem_ = ProblemType::single_label;
  std::map<std::string, Scheme> fixed_;
  std::vector<TensorCosts> plain_costs_, costs_;  // by plain rounding; as it will be done
  std::optional<WholeProgress> whole_;
  double measuring_work_ = 0, calibrating_work_ = 0;
  const Choices* choices_ = nullptr;
  const HeldOutTexts* held_out_ = nullptr;
  const FolderClaim* claim_ = nullptr;
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
