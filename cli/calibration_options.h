// The calibration options of convert, and its defaults.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "convert/prepared_conversion.h"
#include "mlx_encoder/convert.h"

namespace mlxe::cli {

struct CalibrationOptions {
  std::string texts;  // --calibrate: a file, "default" or "none"; empty: not given
  std::string method = "auto";
  size_t limit = 0;
  bool only = false;

  // Adds the options and returns them. All of them need quantization.
  std::vector<CLI::Option*> add_to(CLI::App& command);
  // Errors: usage (options that contradict each other).
  void check() const;

  // Throws usage if an option says how to calibrate. To be called if nothing is calibrated.
  void expect_no_details() const;

  bool is_given() const { return !texts.empty() && texts != "none"; }
  bool is_unsaid() const { return texts.empty() && method != "rtn"; }
  // The calibration on `texts` (none: the built-in ones) with the given options.
  Calibration on(std::vector<TextInput> texts) const;

 private:
  std::vector<CLI::Option*> details_;  // the options that say how to calibrate
};

std::vector<TextInput> read_all_texts(const std::string& file, bool strict);

// Whether texts can be tokenized for the model with this tokenizer. If not, warns that the model is rounded to
// nearest; under options.strict, throws.
bool can_calibrate(const FolderTokenizer& tokenizer, const ConvertOptions& options);

// Sets the calibration of a conversion that has matrices below 8 bits, if its texts can be tokenized. Returns
// whether it did. Errors: usage (an option says how to calibrate, and there are no such matrices), strict.
bool calibrate_narrow(const CalibrationOptions& said, PreparedConversion& prepared);

// To be called before a conversion that calibrates.
void prepare_memory_for(const std::optional<Calibration>& calibration);

// Prints a notice on standard error when a calibration by default begins, and the time it took.
class CalibrationNotice {
 public:
  explicit CalibrationNotice(std::string on_what) : on_what_(std::move(on_what)) {}

  void announce() const;
  // A Progress that also calls `inner`. This object must outlive it.
  Progress watch(Progress inner);
  void say_time() const;

 private:
  using Clock = std::chrono::steady_clock;
  std::string on_what_;
  std::optional<Clock::time_point> begin_;
  Clock::time_point end_;
};

}  // namespace mlxe::cli
