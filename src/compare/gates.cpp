#include "compare/gates.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "compare/quality.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr double kFloatBits = 16;
constexpr double kFloatLimit = 0.999;

bool holds(const Gate& g) {
  return g.at_least() ? g.value >= g.limit : g.value <= g.limit;  // false for NaN
}

}  // namespace

double cosine_limit(double bits) {
  if (bits > 8) return kFloatLimit;
  return 1 - 0.005 * std::exp2((8 - bits) / 2);
}

double relative_error_limit(double cosine_limit) {
  return 1 - cosine_limit;
}

double neighbours_limit(double relative_error) {
  return 1 - 0.9 * std::sqrt(relative_error);
}

void ExpectedCosine::add(const StoredWeight& matrix) {
  if (matrix.shape.size() < 2 || matrix.scheme.mode == Mode::none) return;
  const double values = static_cast<double>(element_count(matrix.shape));
  quantized_ += values;
  bits_ += values * matrix.scheme.bits;
  loss_ += values * (1 - cosine_limit(matrix.scheme.bits));
}

double ExpectedCosine::limit() const {
  return quantized_ == 0 ? kFloatLimit : 1 - loss_ / quantized_;
}
double ExpectedCosine::bits() const {
  return quantized_ == 0 ? kFloatBits : bits_ / quantized_;
}

GateLimits with_defaults(GateLimits limits, double cosine) {
  if (!limits.cosine) limits.cosine = cosine;
  if (!limits.relative_error) limits.relative_error = relative_error_limit(*limits.cosine);
  if (!limits.neighbours_kept) limits.neighbours_kept = neighbours_limit(*limits.relative_error);
  return limits;
}

GateSetting parse_gate(std::string_view text) {
  const size_t dot = text.find('.'), equals = text.find('=');
  const auto wrong = [&](const char* why) {
    return Error(
        ErrorCode::usage,
        fmt::format("gate \"{}\": {}; write TENSOR.METRIC=LIMIT, for example pooled_vector.cosine=0.99, or "
                    "TENSOR.METRIC=off",
                    text, why));
  };
  if (dot == std::string_view::npos || equals == std::string_view::npos || dot > equals)
    throw wrong("not of the form tensor.metric=limit");
  GateSetting s{std::string(text.substr(0, dot)), std::string(text.substr(dot + 1, equals - dot - 1)),
                std::nullopt};
  const std::string limit(text.substr(equals + 1));
  if (limit == "off") return s;
  char* end = nullptr;
  s.limit = std::strtod(limit.c_str(), &end);
  if (limit.empty() || *end != '\0' || !std::isfinite(*s.limit)) throw wrong("the limit is not a number");
  return s;
}

std::vector<Gate> apply_gates(const Comparison& c, const GateLimits& limits,
                              std::span<const GateSetting> settings) {
  const GateValues values = measured(c).values;
  std::vector<Gate> gates;
  const auto set = [&](const std::string& tensor, const std::string& metric, double limit) {
    gates.push_back({.tensor = tensor, .metric = metric, .limit = limit});
  };
  set("last_hidden_state", "cosine", *limits.cosine);
  for (const char* tensor : {"pooled_vector", "probabilities"}) {
    if (!values.contains(std::string(tensor) + ".mse")) continue;
    set(tensor, "cosine", *limits.cosine);
    set(tensor, "mse", limits.mse);
    set(tensor, "max_abs", limits.max_abs);
  }
  if (c.vectors && c.vectors->texts >= kTextsForRelativeError)
    set("pooled_vector", "relative_error", *limits.relative_error);
  if (c.vectors && c.vectors->texts >= kTextsForNeighbours)
    set("pooled_vector", "neighbours_kept", *limits.neighbours_kept);

  for (const auto& [side, model] :
       {std::pair("original", &c.original), std::pair("quantized", &c.quantized)}) {
    set(side, "repeat_difference", 0);
    set(side, "batch_difference", model->checks.batch_tolerance);
  }

  for (const GateSetting& s : settings) {
    const std::string name = s.tensor + "." + s.metric;
    if (!values.contains(name)) {
      std::string known;
      for (const auto& [key, value] : values) known += (known.empty() ? "" : ", ") + key;
      throw Error(ErrorCode::usage,
                  fmt::format("gate {}: this comparison measures no such thing; it has {}", name, known));
    }
    const auto same = [&](const Gate& g) { return g.name() == name; };
    const auto found = std::find_if(gates.begin(), gates.end(), same);
    if (!s.limit)
      std::erase_if(gates, same);
    else if (found != gates.end())
      found->limit = *s.limit;
    else
      set(s.tensor, s.metric, *s.limit);
  }
  for (Gate& g : gates) {
    g.value = values.at(g.name());
    g.passed = holds(g);
  }
  return gates;
}

}  // namespace mlxe
