#include "allocate/solver.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/wording.h"
#include "mlx_encoder/error.h"

namespace mlxe::allocate {
namespace {

constexpr double kTolerance = 0.01;  // relative: a target counts as met within this

std::string worded(double figure, TargetKind kind) {
  return kind == TargetKind::size ? fmt::format("{:.0f} bytes ({})", figure, human_bytes(figure))
                                  : fmt::format("{:.3f} bits a weight", figure);
}

}  // namespace

size_t solve_size(const AllocationSpace& space, const Target& target, const Warning& warning) {
  const Frontier& frontier = space.frontier();
  const auto fail = [&](const char* what, size_t nearest) {
    throw Error(
        ErrorCode::usage,
        fmt::format("{} {}: {} is {}; nothing was written", option_of(target.kind), target.text, what,
                    worded(limited_figure(space.at(nearest).conversion.plan(), target.kind), target.kind)));
  };
  const auto bytes = target.kind == TargetKind::size
                         ? target.value
                         : target.value * static_cast<double>(space.parameters()) / 8 +
                               static_cast<double>(space.header_bytes());
  double budget = bytes - static_cast<double>(space.rest_bytes());
  // File headers differ by a few bytes between plans, so the exact plan decides.
  for (;;) {
    const std::optional<size_t> point =
        budget < 0 ? std::nullopt : frontier.within(static_cast<uint64_t>(budget));
    if (!point) fail("the smallest this model can be", 0);
    const double found = limited_figure(space.at(*point).conversion.plan(), target.kind);
    if (found > target.value) {
      budget = std::min(budget, static_cast<double>(frontier.total(*point).bytes)) - 1;
      continue;
    }
    const bool largest = *point + 1 == frontier.size();
    if (largest && found < (1 - kTolerance) * target.value)
      fail("the largest, with floats wherever bits are chosen,", *point);
    if (found < (1 - kTolerance) * target.value && warning)
      warning(fmt::format("{} {}: no allocation comes nearer from below than {}", option_of(target.kind),
                          target.text, worded(found, target.kind)));
    return *point;
  }
}

std::optional<size_t> search(const Frontier& frontier, const Search& how,
                             const std::function<double(size_t i)>& measure, uint64_t rest_bytes,
                             double& nearest) {
  double factor = how.factor;
  const auto guess = [&] { return frontier.costing(std::pow(how.limit / factor, 1 / how.exponent)); };
  const auto bytes = [&](size_t i) { return static_cast<double>(frontier.total(i).bytes + rest_bytes); };
  // The largest point known to fail, and the smallest known to pass.
  std::optional<size_t> failed, passed;
  nearest = INFINITY;
  bool ended = false;
  constexpr int kMostTrials = 12;
  for (int trial = 0; trial < kMostTrials && !ended; ++trial) {
    const size_t lowest = failed ? *failed + 1 : 0, highest = passed ? *passed - 1 : frontier.size() - 1;
    // Stop if the points between both differ by less than the tolerance.
    if (passed && (*passed == lowest || bytes(*passed) - bytes(lowest) < kTolerance / 2 * bytes(*passed)))
      break;
    if (!passed && lowest == frontier.size()) break;
    size_t i = std::clamp(guess(), lowest, highest);
    // If the assumption about the figure does not help, bisect.
    if (trial >= 4 && passed) i = lowest + (highest - lowest) / 2;
    if (trial >= 4 && !passed) i = (lowest + frontier.size() - 1 + 1) / 2;
    const double sum = std::pow(frontier.total(i).cost, how.exponent);
    const double found = measure(i);
    nearest = std::min(nearest, found);
    if (found > 0 && sum > 0) factor = found / sum;
    if (!(found <= how.limit)) {
      failed = i;
      continue;
    }
    passed = i;
    // Stop if the smallest point expected to pass is hardly smaller.
    const size_t next = std::clamp(guess(), lowest, i);
    ended = i == lowest || bytes(i) - bytes(next) < kTolerance * bytes(i) / 2;
  }
  return passed;
}

}  // namespace mlxe::allocate
