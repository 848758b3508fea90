#include "base/nearest.h"

#include <algorithm>
#include <vector>

#include "base/text.h"

namespace mlxe {
namespace {

// Number of edits from `a` to `b`: the optimal string alignment distance.
size_t edits(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

constexpr size_t kLongest = 64;  // longer than any known name; bounds the work on user input

}  // namespace

std::string nearest(std::string_view name, std::span<const std::string> known) {
  if (name.empty() || name.size() > kLongest) return {};
  const std::string typed = lowercase(name);
  std::string best;
  size_t fewest = std::max<size_t>(1, typed.size() / 3) + 1;
  for (const std::string& candidate : known)
    if (const size_t n = edits(typed, lowercase(candidate)); n < fewest) {
      fewest = n;
      best = candidate;
    }
  if (!best.empty()) return best;
  const auto begun = std::ranges::find_if(
      known, [&](const std::string& candidate) { return lowercase(candidate).starts_with(typed); });
  return begun == known.end() || typed.size() < 3 ? std::string() : *begun;
}

}  // namespace mlxe
