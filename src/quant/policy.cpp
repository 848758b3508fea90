#include "quant/policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr int kFloatBits = 16;

std::optional<int> parse_int(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The reason why a tensor of this role stays float in every scheme. Empty for a matrix that may be quantized.
std::string_view exemption(const Shape& shape, Role role, Mode mode) {
  switch (role) {
    case Role::norm:
      return "norm";
    case Role::bias:
      return "bias";
    case Role::token_type_embedding:
      return "token types";
    case Role::relative_bias:
      return "relative position bias";
    case Role::convolution:
      return "convolution";
    case Role::classifier:
      return "final classifier";
    case Role::embedding:
      if (mode == Mode::fake) return "fake quantization leaves embeddings as they are";
      break;
    case Role::linear:
      break;
  }
  return shape.size() == 2 ? "" : "not a matrix";
}

bool is_matrix(const Shape& shape, Role role) {
  return shape.size() == 2 && role != Role::norm && role != Role::bias;
}

}  // namespace

bool matches(std::string_view pattern, std::string_view text) noexcept {
  // After a mismatch, the last `*` takes one more character.
  size_t p = 0, t = 0, star = std::string_view::npos, taken = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++taken;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

Policy::Policy(const Scheme& scheme, std::span<const std::string> keep, std::span<const std::string> set,
               std::map<std::string, Scheme> allocation)
    : scheme_(scheme), allocation_(std::move(allocation)) {
  validate(scheme_);
  if (scheme_.mode == Mode::none && !(keep.empty() && set.empty()))
    throw Error(ErrorCode::usage, fmt::format("{}: found no quantization to make an exception from; add -q",
                                              keep.empty() ? "--set " + set[0] : "--keep " + keep[0]));
  for (const std::string& entry : set) rules_.push_back(parse_set(entry));
  for (const std::string& pattern : keep) {
    if (pattern.empty()) throw Error(ErrorCode::usage, "--keep: the pattern is empty");
    rules_.push_back({"--keep " + pattern, pattern, as_float()});
  }
}

Policy::Rule Policy::parse_set(const std::string& entry) const {
  const auto fail = [&](std::string_view why) {
    return Error(ErrorCode::usage, fmt::format("--set {}: {}", entry, why));
  };
  const size_t equals = entry.rfind('=');
  if (equals == std::string::npos || equals == 0)
    throw fail("expected PATTERN=bits or PATTERN=bits:group, for example 'embeddings.*=8:64'");
  const std::string_view value = std::string_view(entry).substr(equals + 1);
  const size_t colon = value.find(':');
  const std::optional<int> bits = parse_int(value.substr(0, colon));
  if (!bits) throw fail("the bits are not a number");
  Rule rule{"--set " + entry, entry.substr(0, equals), as_float()};
  if (*bits == kFloatBits) {
    if (colon != std::string_view::npos) throw fail("16 bits are plain floats, which have no groups");
    return rule;
  }
  std::optional<int> group = scheme_.mode == Mode::affine ? scheme_.group_size : 64;
  if (colon != std::string_view::npos) group = parse_int(value.substr(colon + 1));
  if (!group) throw fail("the group size is not a number");
  if (scheme_.mode == Mode::int8 || scheme_.mode == Mode::fake)
    throw fail(fmt::format("{} can't be mixed with other bits; only 16, plain float, is possible",
                           name(scheme_.mode)));
  rule.scheme = {Mode::affine, *bits, *group, scheme_.dtype};
  try {
    validate(rule.scheme);
  } catch (const Error& e) {
    throw fail(e.what());
  }
  return rule;
}

bool Policy::applies(const Rule& rule, std::string_view name) {
  constexpr std::string_view kWeight = ".weight";
  const std::string_view module =
      name.ends_with(kWeight) ? name.substr(0, name.size() - kWeight.size()) : name;
  return matches(rule.pattern, module) || matches(rule.pattern, name);
}

bool Policy::is_named(std::string_view name) const {
  return std::ranges::any_of(rules_, [&](const Rule& rule) { return applies(rule, name); });
}

const Policy::Rule* Policy::find_rule(std::string_view name) {
  const Rule* last = nullptr;
  for (Rule& rule : rules_) {
    if (!applies(rule, name)) continue;
    rule.matched = true;
    last = &rule;
  }
  return last;
}

PolicyDecision Policy::decide(std::string_view name, const Shape& shape, Role role) {
  const Rule* rule = find_rule(name);
  if (scheme_.mode == Mode::none) return {as_float(), "", false};
  if (rule && is_matrix(shape, role)) {
    if (rule->scheme.mode == Mode::none) return {as_float(), "kept by " + rule->option, false};
    return fit(rule->scheme, shape[1], "by " + rule->option);
  }
  if (const auto own = allocation_.find(std::string(name));
      own != allocation_.end() && is_matrix(shape, role)) {
    if (own->second.mode == Mode::none) return {as_float(), "float by its allocation", false};
    return fit(own->second, shape[1], own->second == scheme_ ? "" : "by its allocation");
  }
  const std::string_view why = exemption(shape, role, scheme_.mode);
  if (!why.empty()) return {as_float(), std::string(why), false};
  return fit(scheme_, shape[1], "");
}

PolicyDecision Policy::fit(Scheme wanted, int64_t columns, std::string reason) const {
  if (fits(wanted, columns)) return {wanted, std::move(reason), false};
  if (wanted.mode == Mode::affine)
    for (int group = wanted.group_size / 2; group >= 32; group /= 2) {
      Scheme smaller = wanted;
      smaller.group_size = group;
      if (fits(smaller, columns))
        return {smaller,
                fmt::format("group size {} does not divide {} columns: {} used", wanted.group_size, columns,
                            group),
                true};
    }
  return {
      as_float(),
      wanted.mode == Mode::affine && wanted.group_size > 32
          ? fmt::format("no group size of {} or less divides {} columns: kept float", wanted.group_size,
                        columns)
          : fmt::format("group size {} does not divide {} columns: kept float", wanted.group_size, columns),
      true};
}

std::vector<std::string> Policy::unmatched() const {
  std::vector<std::string> options;
  for (const Rule& rule : rules_)
    if (!rule.matched) options.push_back(rule.option);
  return options;
}

}  // namespace mlxe
