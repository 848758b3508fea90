// Reading targets.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/text.h"
#include "mlx_encoder/allocate.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

struct Unit {
  std::string_view name;  // upper case
  double factor;
};
constexpr Unit kBytes[] = {{"", 1},     {"B", 1},        {"KB", 1e3},     {"MB", 1e6},
                           {"GB", 1e9}, {"KIB", 0x1p10}, {"MIB", 0x1p20}, {"GIB", 0x1p30}};
constexpr Unit kShare[] = {{"", 1}, {"%", 0.01}};
constexpr Unit kPlain[] = {{"", 1}};

// The syntax and the valid range of each kind of target.
struct Form {
  const char* option;
  std::span<const Unit> units;
  double lowest, highest;  // both excluded
  const char* expected;
};
const Form& form_of(TargetKind kind) {
  static const std::array<Form, 5> kForms{
      Form{"--target-size", kBytes, 0, 0x1p60, "a size such as 45MB or 43MiB"},
      Form{"--target-bits", kPlain, 0, 32, "bits a weight such as 4.5"},
      Form{"--min-cosine", kPlain, 0, 1, "a cosine between 0 and 1 such as 0.995"},
      Form{"--max-relative-error", kPlain, 0, 1, "a relative error between 0 and 1 such as 0.01"},
      Form{"--max-flips", kShare, 0, 1, "a share such as 1% or 0.01"}};
  return kForms[static_cast<size_t>(kind)];
}

}  // namespace

const char* option_of(TargetKind kind) noexcept {
  return form_of(kind).option;
}

Target parse_target(TargetKind kind, std::string_view text) {
  const Form& form = form_of(kind);
  const size_t end = std::min(text.find_first_not_of("0123456789.eE+-"), text.size());
  const std::optional<double> value = finite_number(text.substr(0, end));
  std::string unit;
  for (const char c : text.substr(end))
    if (c != ' ') unit += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (const Unit& u : form.units)
    if (value && unit == u.name && *value * u.factor > form.lowest && *value * u.factor < form.highest)
      return {kind, *value * u.factor, std::string(text)};
  throw Error(ErrorCode::usage,
              fmt::format("{}: found \"{}\", expected {}", form.option, text, form.expected));
}

}  // namespace mlxe
