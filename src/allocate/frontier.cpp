#include "allocate/frontier.h"

#include <algorithm>

#include "mlx_encoder/error.h"

namespace mlxe::allocate {
namespace {

struct Candidate {
  Choice total;
  uint32_t before, choice;
};

// Sorted by bytes, each cheaper than all before it.
void drop_beaten(std::vector<Candidate>& candidates) {
  std::ranges::stable_sort(candidates, [](const Candidate& a, const Candidate& b) {
    return a.total.bytes != b.total.bytes ? a.total.bytes < b.total.bytes : a.total.cost < b.total.cost;
  });
  size_t count = 0;
  for (const Candidate& c : candidates)
    if (count == 0 || c.total.cost < candidates[count - 1].total.cost) candidates[count++] = c;
  candidates.resize(count);
}

// Reduces candidates to at most `most`: the first, the last, and the cheapest of each equal interval between.
void thin_out(std::vector<Candidate>& candidates, size_t most) {
  if (candidates.size() <= most) return;
  const uint64_t low = candidates.front().total.bytes, high = candidates.back().total.bytes;
  const uint64_t width = (high - low) / (most - 2) + 1;
  size_t count = 1;
  for (size_t i = 1; i < candidates.size(); ++i) {
    const bool last_of_part = i + 1 == candidates.size() || (candidates[i + 1].total.bytes - low) / width !=
                                                                (candidates[i].total.bytes - low) / width;
    if (last_of_part) candidates[count++] = candidates[i];  // the largest of an interval is its cheapest
  }
  candidates.resize(count);
}

}  // namespace

Frontier::Frontier(const std::vector<std::vector<Choice>>& tensors) : totals_{{0, 0.0}} {
  for (const std::vector<Choice>& choices : tensors) {
    if (choices.empty()) throw Error(ErrorCode::internal, "allocation: a tensor without choices");
    std::vector<Candidate> next;
    next.reserve(totals_.size() * choices.size());
    for (uint32_t c = 0; c < choices.size(); ++c)
      for (uint32_t t = 0; t < totals_.size(); ++t)
        next.push_back({{totals_[t].bytes + choices[c].bytes, totals_[t].cost + choices[c].cost}, t, c});
    drop_beaten(next);
    thin_out(next, kMostTotals);
    totals_.clear();
    std::vector<Step>& steps = steps_.emplace_back();
    for (const Candidate& c : next) {
      totals_.push_back(c.total);
      steps.push_back({c.before, c.choice});
    }
  }
}

std::vector<size_t> Frontier::choices(size_t i) const {
  std::vector<size_t> choices(steps_.size());
  for (size_t tensor = steps_.size(); tensor-- > 0;) {
    const Step& step = steps_[tensor][i];
    choices[tensor] = step.choice;
    i = step.before;
  }
  return choices;
}

std::optional<size_t> Frontier::within(uint64_t bytes) const {
  const auto beyond = std::ranges::upper_bound(totals_, bytes, {}, [](const Choice& c) { return c.bytes; });
  if (beyond == totals_.begin()) return std::nullopt;
  return static_cast<size_t>(beyond - totals_.begin()) - 1;
}

size_t Frontier::costing(double cost) const {
  const auto it = std::ranges::find_if(totals_, [&](const Choice& c) { return c.cost <= cost; });
  return it == totals_.end() ? totals_.size() - 1 : static_cast<size_t>(it - totals_.begin());
}

}  // namespace mlxe::allocate
