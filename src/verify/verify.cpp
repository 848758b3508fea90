#include "mlx_encoder/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <utility>

#include "base/file_errors.h"
#include "base/output_file.h"
#include "encoder/score_function.h"
#include "encoder/text_runner.h"
#include "format/encoder_routes.h"
#include "format/json_file.h"
#include "format/provenance.h"
#include "gates/limits.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/gate.h"
#include "verify/golden.h"
#include "verify/golden_run.h"
#include "verify/routed_verify.h"
#include "verify/settings.h"
#include "verify/stored_golden.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

double cosine_of(std::span<const float> a, std::span<const float> b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  if (aa == 0 && bb == 0) return 1;
  return aa == 0 || bb == 0 ? 0 : ab / std::sqrt(aa * bb);
}

double largest_of(std::span<const float> values) {
  double largest = 0;
  for (const float v : values) largest = std::max<double>(largest, std::abs(v));
  return largest;
}

double difference_of(std::span<const float> a, std::span<const float> b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, std::abs(static_cast<double>(a[i]) - b[i]));
  return largest;
}

class Verification {
 public:
  Verification(const fs::path& folder, const VerifyOptions& options) : folder_(folder), options_(options) {}

  VerifyReport run() {
    if (!fs::is_directory(folder_)) throw Error(ErrorCode::not_found, folder_.string() + ": no such folder");
    if (!options_.save_golden.empty()) require_writable(options_.save_golden);
    read_record();
    read_golden();
    if (load()) {
      report_settings();
      check_unrecorded();
      if (runner_) check_texts();
      if (runner_) save_golden();
    }
    const bool proves = report_.recorded || !report_.golden.empty();
    report_.verdict = !report_.failures.empty() ? Verdict::failed
                      : proves                  ? Verdict::passed
                                                : Verdict::unproved;
    return std::move(report_);
  }

 private:
  void fail(std::string sentence) { report_.failures.push_back(std::move(sentence)); }
  void tell(const std::string& sentence) const {
    if (options_.warning) options_.warning(sentence);
  }

  // ---- files

  void read_record() {
    try {
      record_ = Provenance::read(folder_);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::io) throw;
      report_.recorded = true;
      report_.files.push_back({kProvenanceFile, error.what()});
      fail(error.what());
    }
    if (!record_) return;
    report_.recorded = true;
    for (const auto& [file, print] : record_->output) {
      Provenance alone{.plan = {}, .source = {}, .output = {{file, print}}};
      const std::vector<std::string> changes = alone.changes(folder_, FileCheck::content);
      report_.files.push_back({file, changes.empty() ? "" : changes.front()});
      for (const std::string& change : changes) fail(change);
    }
  }

  // A file that changes results and that the conversion did not write.
  void check_unrecorded() {
    if (!record_) return;
    const std::vector<std::string> files = files_read(loaded());
    for (const std::string& file : std::set(files.begin(), files.end())) {
      if (record_->output.contains(file)) continue;
      const std::string problem = fmt::format(
          "{}: is read, but {} does not record it; it was added after the conversion: remove it, or convert "
          "again",
          (folder_ / file).string(), kProvenanceFile);
      report_.files.push_back({file, problem});
      fail(problem);
    }
  }

  // ---- golden

  void read_golden() {
    const bool own = options_.against.empty();
    const fs::path file = own ? folder_ / kGoldenFile : options_.against;
    if (own && !fs::exists(file)) {
      tell_of_no_golden();
      return;
    }
    try {
      golden_ = Golden::read(file, options_.warning);
    } catch (const Error& error) {
      if (!own || error.code() == ErrorCode::io || error.code() == ErrorCode::strict) throw;
      fail(error.what());
      report_.golden = file.string();
      return;
    }
    report_.golden = file.string();
    report_.golden_made_by = golden_->made_by;
    report_.output = name(golden_->output);
    if (own) check_record(file);
  }

  void tell_of_no_golden() const {
    if (report_.recorded)
      tell(fmt::format(
          "{}: has no {}, so what it computes is compared with nothing; give --against GOLDEN.json, "
          "or convert again",
          folder_.string(), kGoldenFile));
  }

  void check_record(const fs::path& file) {
    if (golden_->record.empty()) return;
    if (!report_.recorded)
      fail(fmt::format(
          "{}: is missing, but {} is of a conversion that wrote one; convert again, or remove the "
          "golden, too, if the changes are meant",
          (folder_ / kProvenanceFile).string(), kGoldenFile));
    else if (record_ && record_digest(record_->output) != golden_->record)
      fail(
          fmt::format("{}: records other files than those that {} was made of; it was written anew after the "
                      "conversion: convert again",
                      (folder_ / kProvenanceFile).string(), file.filename().string()));
  }

  // ---- the model

  bool load() {
    try {
      runner_.emplace(folder_, EncoderOptions{.engine = options_.engine,
                                              .activations = Activations::float32,
                                              .threads = options_.threads,
                                              .warning = news()});
      return true;
    } catch (const Error& error) {
      const bool of_the_machine =
          error.code() == ErrorCode::io || error.code() == ErrorCode::strict ||
          error.code() == ErrorCode::usage ||
          (error.code() == ErrorCode::unsupported && options_.engine == EngineKind::mlx);
      if (of_the_machine) throw;
      if (loads_without_tokenizer(error)) return true;
      if (!report_.recorded && report_.golden.empty()) throw;
      fail(fmt::format("the folder does not load: {}", error.what()));
      return false;
    }
  }

  // Warnings of loading, without those of changed files that are failures here already.
  Warning news() const {
    if (!options_.warning) return {};
    return [this](std::string_view sentence) {
      const auto repeats = [&](const std::string& failure) {
        return sentence.find(failure) != sentence.npos;
      };
      if (std::ranges::none_of(report_.failures, repeats)) options_.warning(sentence);
    };
  }

  // A model whose tokenizer is missing, or of a kind that this program does not read, was converted without a golden; its
  // settings can be shown.
  bool loads_without_tokenizer(const Error& why) {
    if (golden_ || !report_.golden.empty() || !options_.save_golden.empty()) return false;
    try {
      alone_.emplace(load_model(folder_, {}));
    } catch (const Error&) {
      return false;
    }
    tell(why.what());
    return true;
  }

  const LoadedModel& loaded() const { return runner_ ? runner_->loaded() : *alone_; }

  void report_settings() {
    if (runner_) {
      const EngineInfo engine = runner_->engine_info();
      report_.engine = engine.engine;
      report_.engine_variant = engine.variant;
    }
    report_.model_type = loaded().model.model_type;
    report_.settings = settings_in_force(loaded(), runner_ ? &runner_->texts().tokenizer() : nullptr);
    const Config::KeyAccount keys = loaded().checkpoint.config().account();
    report_.used_keys = keys.used;
    report_.harmless_keys = keys.harmless;
    report_.ignored_keys = keys.ignored;
    if (!golden_) return;
    const auto found = by_name(report_.settings);
    for (const auto& [setting, value] : golden_->settings) {
      const auto now = found.find(setting);
      if (now == found.end())
        fail(fmt::format("{}: has no setting \"{}\", it was {}", folder_.string(), setting, value));
      else if (now->second != value)
        fail(fmt::format("{}: {} is {} (from {}), it was {}", folder_.string(), setting, now->second,
                         origin_of(setting), value));
    }
  }

  std::string origin_of(const std::string& setting) const {
    const auto found = std::ranges::find(report_.settings, setting, &SettingInForce::name);
    return found == report_.settings.end() ? "" : found->from;
  }

  // ---- texts

  void check_texts() {
    if (!golden_) return;
    const auto width = golden_width(runner_->model(), runner_->sentence(), golden_->output);
    if (!width || static_cast<size_t>(*width) != golden_->width()) {
      fail(fmt::format("{}: has {} with {} values, {} gives {}", report_.golden, name(golden_->output),
                       golden_->width(), folder_.string(),
                       width ? fmt::format("{}", *width) : "no such output"));
      return;
    }
    report_.difference_limit = golden_->tolerance.difference;
    report_.cosine_limit = golden_->tolerance.cosine;
    if (!report_.difference_limit && !report_.cosine_limit) report_.mean_cosine_limit = limit_of_bits();
    double largest = 0;
    for (const GoldenText& text : golden_->texts) largest = std::max(largest, largest_of(text.values));
    double sum = 0;
    size_t failed = 0;
    for (const GoldenText& text : golden_->texts) {
      const CheckedText& checked = report_.texts.emplace_back(check(text, largest));
      sum += checked.cosine;
      if (!checked.problem.empty()) ++failed;
    }
    report_.mean_cosine = sum / static_cast<double>(report_.texts.size());
    if (failed > 0) {
      const auto first =
          std::ranges::find_if(report_.texts, [](const auto& t) { return !t.problem.empty(); });
      fail(fmt::format("{} of {} texts differ from {}, first text {}: {}", failed, report_.texts.size(),
                       report_.golden, first - report_.texts.begin() + 1, first->problem));
    } else if (report_.mean_cosine_limit && !(report_.mean_cosine >= *report_.mean_cosine_limit)) {
      fail(fmt::format("{}: mean cosine {:.6f}, expected at least {:.6f} for the bits stored", report_.golden,
                       report_.mean_cosine, *report_.mean_cosine_limit));
    }
  }

  double limit_of_bits() const {
    ExpectedCosine expected;
    for (const Parameter& p : runner_->model().plan.parameters)
      expected.add(stored_weight(runner_->checkpoint(), runner_->sentence(), p));
    return expected.limit();
  }

  CheckedText check(const GoldenText& text, double largest) const {
    CheckedText result{.text = text.input.text, .pair = text.input.pair, .prompt_name = text.prompt_name};
    std::vector<float> found;
    try {
      found = golden_values(*runner_, golden_->output, text);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::io) throw;
      result.cosine = 0;
      result.difference = INFINITY;
      result.problem = error.what();
      return result;
    }
    std::vector<float> expected = text.values;
    if (!text.original.empty()) {
      result.cosine_to_original = cosine_of(found, text.original);
      result.recorded_cosine = cosine_of(text.values, text.original);
    }
    const double apart = difference_of(found, expected);
    result.difference = apart == 0 ? 0 : largest == 0 ? INFINITY : apart / largest;
    const std::optional<ByBits> by_bits =
        report_.mean_cosine_limit ? by_the_bits(found, expected, result.difference) : std::nullopt;
    result.cosine = cosine_of(found, expected);
    if (report_.difference_limit && !(result.difference <= *report_.difference_limit))
      result.problem = fmt::format("difference {:.3g}, expected at most {:.3g}", result.difference,
                                   *report_.difference_limit);
    else if (report_.cosine_limit && !(result.cosine >= *report_.cosine_limit))
      result.problem =
          fmt::format("cosine {:.6f}, expected at least {:.6f}", result.cosine, *report_.cosine_limit);
    else if (by_bits && !(by_bits->difference <= GateLimits{}.max_abs))
      result.problem = fmt::format("{} differs by {:.3g}, expected at most {}", by_bits->what,
                                   by_bits->difference, GateLimits{}.max_abs);
    return result;
  }

  struct ByBits {
    const char* what;
    double difference;
  };
  // What a classifier is judged by, beside the mean cosine, where the limits follow from the bits: its probabilities, as
  // `compare` does, which become `found` and `expected`. One output or a regression has none (its cosine says nothing, and
  // a sigmoid hides large scores): there it is the difference relative to the largest value of the golden.
  std::optional<ByBits> by_the_bits(std::vector<float>& found, std::vector<float>& expected,
                                    double relative) const {
    if (is_vector(golden_->output)) return std::nullopt;
    if (golden_->output == GoldenOutput::span_logits || golden_->output == GoldenOutput::choice_logits)
      return ByBits{"a logit", relative};
    if (golden_->output == GoldenOutput::logits) {
      const ProblemType problem = runner_->model().problem_type;
      if (problem == ProblemType::regression || found.size() == 1) return ByBits{"a score", relative};
      const ScoreFunction f =
          is_softmax(problem, found.size()) ? ScoreFunction::softmax : ScoreFunction::sigmoid;
      found = scores_of(found, f);
      expected = scores_of(expected, f);
    }
    return ByBits{"a probability", difference_of(found, expected)};
  }

  void save_golden() const {
    if (options_.save_golden.empty()) return;
    const GoldenOutput output = golden_ ? golden_->output : golden_output(runner_->model());
    Golden golden{.made_by = golden_maker(runner_->engine_info()),
                  .output = output,
                  .tolerance = {},
                  .record = {},
                  .settings = {},
                  .texts = golden_ ? golden_->texts : golden_texts(output, runner_->sentence().prompts)};
    for (GoldenText& text : golden.texts) {
      text.values = golden_values(*runner_, output, text);
      text.original.clear();
    }
    write_whole_file(options_.save_golden, golden.text());
  }

  const fs::path& folder_;
  const VerifyOptions& options_;
  std::optional<Provenance> record_;
  std::optional<Golden> golden_;
  std::optional<TextRunner> runner_;  // one of these two, if the folder loads
  std::optional<LoadedModel> alone_;
  VerifyReport report_;
};

// None also of a folder with a damaged Router: Verification finds the same error when it loads the folder.
std::optional<EncoderRoutes> routes_of(const fs::path& folder) {
  try {
    return encoder_routes(folder);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::io) throw;
    return std::nullopt;
  }
}

}  // namespace

const char* name(Verdict verdict) noexcept {
  constexpr std::array kNames{"passed", "failed", "unproved"};
  return kNames[static_cast<size_t>(verdict)];
}

VerifyReport verify(const fs::path& folder, const VerifyOptions& options) {
  return with_file_errors([&] {
    const std::optional<EncoderRoutes> routes = routes_of(folder);
    return routes ? verify_routes(*routes, options) : Verification(folder, options).run();
  });
}

}  // namespace mlxe
