#include "calibration_options.h"

#include <fmt/format.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <iostream>
#include <iterator>

#include "command.h"
#include "mlx_encoder/error.h"
#include "texts.h"

namespace mlxe::cli {

std::vector<CLI::Option*> CalibrationOptions::add_to(CLI::App& command) {
  CLI::Option* on =
      command.add_option("--calibrate", texts,
                         "Calibrate on texts like those the model will see: a file (.txt, .tsv, .jsonl, "
                         ".parquet, .conll), `default` (the "
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
      throw Error(ErrorCode::usage,
                  fmt::format("{} needs calibration; add --calibrate FILE or --calibrate default",
                              option->get_name()));
}

Calibration CalibrationOptions::on(std::vector<TextInput> with) const {
  return {.texts = std::move(with),
          .method = parse_calibration_method(method),
          .limit = limit,
          .built_in = only ? BuiltInText::left_out : BuiltInText::mixed_in};
}

std::vector<TextInput> read_all_texts(const std::string& file, bool strict) {
  std::vector<TextInput> all;
  const TextSource source{.arguments = {}, .input = file, .format = {}};
  source.read(kWindow, warnings(strict ? Strictness::strict : Strictness::warn),
              [&](std::vector<TextInput> texts) { std::ranges::move(texts, std::back_inserter(all)); });
  return all;
}

bool can_calibrate(const FolderTokenizer& tokenizer, const ConvertOptions& options) {
  if (tokenizer.state == FolderTokenizer::State::loaded) return true;
  const std::string sentence = fmt::format(
      "{}: no calibration, the default below 8 bits, because it needs the model's tokenizer; matrices are "
      "rounded to nearest (--calibrate none does so without this warning)",
      tokenizer.why);
  if (options.strict) throw Error(ErrorCode::strict, sentence + " (an error under --strict)");
  if (options.warning) options.warning(sentence);
  return false;
}

bool calibrate_narrow(const CalibrationOptions& said, PreparedConversion& prepared) {
  const bool narrow = prepared.options().scheme.mode == Mode::affine &&
                      std::ranges::any_of(prepared.plan().tensors, [](const PlannedTensor& t) {
                        return t.scheme.mode == Mode::affine && t.scheme.bits < 8;
                      });
  if (!narrow) said.expect_no_details();
  if (!narrow || !can_calibrate(prepared.source().tokenizer, prepared.options())) return false;
  prepared.calibrate(said.on({}));
  return true;
}

void prepare_memory_for(const std::optional<Calibration>& calibration) {
#ifdef __GLIBC__
  // Makes malloc return a calibration's large vectors to the system when they are freed. By default malloc
  // raises this threshold to 32 MiB after the first of them; freed vectors then stay in the heap (a sixth
  // of the peak).
  if (calibration) ::mallopt(M_MMAP_THRESHOLD, 1 << 20);
#else
  (void)calibration;
#endif
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
    std::cerr << fmt::format("note: calibrating took {:.0f} s\n",
                             std::chrono::duration<double>(end_ - *begin_).count());
}

}  // namespace mlxe::cli
