// How every command takes its arguments: an empty value is an error, numbers are finite and in range, and a
// mistake becomes one sentence that names the nearest option.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

namespace mlxe::cli {

// Ranges of a numeric option, given to `check`; that the value is a number at all is checked for every
// option.
CLI::Validator at_least(double lowest);
CLI::Validator above(double limit);
CLI::Validator between(double lowest, double highest);

// The longest that --seconds may ask for: a day.
inline constexpr double kMostSeconds = 86400;

// Parses the program's arguments into the options that the commands of `app` declared. Returns an exit status
// if help or the version was asked for and printed. Errors: usage.
std::optional<int> parse_arguments(CLI::App& app, int argc, char** argv);

// Whether --json stands among the arguments: errors are then printed as JSON, those of the arguments too.
bool wants_json(int argc, char** argv);

}  // namespace mlxe::cli
