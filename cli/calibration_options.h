// What convert is told about calibrating, and what it does by itself where it is told nothing.
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
  std::string texts;  // a file, "default" or "none"; empty: not said
  std::string method = "auto";
  size_t limit = 0;
  bool only = false;

  // Returns the options, all of which need a quantization.
  std::vector<CLI::Option*> add_to(CLI::App& command);
  // Errors: usage (options that contradict each other).
  void check() const;

  // Errors: usage (something says how to calibrate, and nothing is calibrated).
  void expect_no_details() const;

  bool is_given() const { return !texts.empty() && texts != "none"; }
  bool is_unsaid() const { return texts.empty() && method != "rtn"; }
  // On these texts (none: the built-in ones), as the options say.
  Calibration on(std::vector<TextInput> texts) const;

 private:
  std::vector<CLI::Option*> details_;  // say how to calibrate
};

std::vector<TextInput> read_all_texts(const std::string& file, bool strict);

// Whether texts can be tokenized for the model with this tokenizer. If not, options.warning hears that it is
// rounded plainly; under options.strict an error.
bool can_calibrate(const FolderTokenizer& tokenizer, const ConvertOptions& options);

// Has a conversion calibrate that is planned to have matrices below 8 bits, if its texts can be tokenized.
// Whether it does. Errors: usage (something says how to calibrate, and there are no such matrices), strict.
bool calibrate_narrow(const CalibrationOptions& said, PreparedConversion& prepared);

// To be called before a conversion that calibrates.
void prepare_memory_for(const std::optional<Calibration>& calibration);

// Says on standard error when calibrating that nobody asked for begins, and how long it took.
class CalibrationNotice {
 public:
  explicit CalibrationNotice(std::string on_what) : on_what_(std::move(on_what)) {}

  void announce() const;
  // Passes on to `inner`. This must outlive it.
  Progress watch(Progress inner);
  void say_time() const;

 private:
  using Clock = std::chrono::steady_clock;
  std::string on_what_;
  std::optional<Clock::time_point> begin_;
  Clock::time_point end_;
};

}  // namespace mlxe::cli
