#include "calibration_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <iterator>

#include "command.h"
#include "mlx_encoder/error.h"
#include "texts.h"
#include "tokenizer/tokenizer.h"

namespace mlxe::cli {

std::vector<CLI::Option*> CalibrationOptions::add_to(CLI::App& command) {
  CLI::Option* on = command.add_option(
      "--calibrate", texts,
      "Calibrate on texts like those the model will see: a file (.txt, .tsv, .jsonl, .conll), `default` (the "
      "built-in text) or `none` (round-to-nearest, as MLX does) [below 8 bits: default]");
  details_ = {
      command.add_flag("--calibrate-only", only,
                       "Use only that file; without this flag the built-in text is added, so that texts of "
                       "one kind do not make the model worse on others"),
      command
          .add_option(
              "--calibrate-limit", limit,
              "Texts of the file to use, spread over it; 0: about 24,000 tokens, more for wide models")
          ->capture_default_str(),
      command
          .add_option(
              "--method", method,
              "auto (gptq, or rtn where it measures better), rtn (round-to-nearest), mse (a search for each "
              "group's scale) or gptq (rounding errors are compensated in the columns not yet rounded)")
          ->capture_default_str()};
  std::vector<CLI::Option*> all = details_;
  all.push_back(on);
  return all;
}

void CalibrationOptions::check() const {
  parse_calibration_method(method);
  if (only && (texts.empty() || texts == "default"))
    throw Error(ErrorCode::usage, "--calibrate-only needs a file of texts; add --calibrate FILE");
}

void CalibrationOptions::expect_no_details() const {
  for (const CLI::Option* option : details_)
    if (option->count() > 0 && !(option->get_name() == "--method" && method == "rtn"))
      throw Error(ErrorCode::usage, fmt::format("{} needs --calibrate with texts", option->get_name()));
}

Calibration CalibrationOptions::on(std::vector<TextInput> with) const {
  return {.texts = std::move(with),
          .method = parse_calibration_method(method),
          .limit = limit,
          .built_in = only ? BuiltInText::left_out : BuiltInText::mixed_in};
}

std::vector<TextInput> read_all_texts(const std::string& file, bool strict) {
  std::vector<TextInput> all;
  const TextSource source{.input = file, .warning = warnings(strict ? Strictness::strict : Strictness::warn)};
  source.read(kWindow,
              [&](std::vector<TextInput> texts) { std::ranges::move(texts, std::back_inserter(all)); });
  return all;
}

bool has_narrow_matrices(const ConvertOptions& options) {
  if (options.scheme.mode != Mode::affine) return false;
  if (options.scheme.bits >= 8 && options.overrides.empty() && options.allocation.empty()) return false;
  ConvertOptions silent = options;
  silent.warning = nullptr;
  silent.strict = false;
  return std::ranges::any_of(plan_conversion(silent).tensors, [](const PlannedTensor& t) {
    return t.scheme.mode == Mode::affine && t.scheme.bits < 8;
  });
}

bool can_calibrate(const ConvertOptions& options) {
  try {
    Tokenizer::load(options.model, {});
    return true;
  } catch (const Error& error) {
    const std::string sentence = fmt::format(
        "{}: no calibration, the default below 8 bits, because it needs the model's tokenizer; matrices are "
        "rounded to nearest (--calibrate none does so without this warning)",
        error.what());
    if (options.strict) throw Error(ErrorCode::strict, sentence + " (an error under --strict)");
    if (options.warning) options.warning(sentence);
    return false;
  }
}

void CalibrationNotice::announce() const {
  std::cerr << "note: calibrating on " << on_what_
            << ", the default below 8 bits; --calibrate none rounds to nearest, as MLX does\n";
}

Progress CalibrationNotice::watch(Progress inner) {
  return [this, inner = std::move(inner)](std::string_view stage, uint64_t done, uint64_t total) {
    if (stage != "converting") {  // the last stage, counted in bytes
      end_ = Clock::now();
      if (!begin_) {
        announce();
        begin_ = end_;
      }
    }
    if (inner) inner(stage, done, total);
  };
}

void CalibrationNotice::say_time() const {
  if (begin_)
    std::cerr << fmt::format("note: it took {:.0f} s\n",
                             std::chrono::duration<double>(end_ - *begin_).count());
}

}  // namespace mlxe::cli
