// The rules for arguments of every command: an empty value is an error, numbers are finite and in range,
// and the error text names the nearest option.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

namespace mlxe::cli {

// Range checks of a numeric option, for CLI::Option::check(). Every numeric option is also checked to be a
// number.
CLI::Validator at_least(double lowest);
CLI::Validator above(double limit);
CLI::Validator between(double lowest, double highest);

// The largest value of --seconds: a day.
inline constexpr double kMostSeconds = 86400;

// Parses the program's arguments into the options of the commands of `app`. If help or the version was
// requested, prints it and returns an exit status. Errors: usage.
std::optional<int> parse_arguments(CLI::App& app, int argc, char** argv);

// Whether --json is among the arguments. All errors are then printed as JSON, also those of the arguments.
bool wants_json(int argc, char** argv);

}  // namespace mlxe::cli
