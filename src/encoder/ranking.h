// The order of a ranking: falling scores, equal ones in the order of the input.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <vector>

namespace mlxe {

// Sorts entries with a member `score`, the best first, and drops all but the first `most` (0: keeps all). Entries
// that are appended later may be sorted in by another call, if the order of input is kept.
template <class Entry>
void keep_best(std::vector<Entry>& entries, size_t most) {
  std::ranges::stable_sort(entries, std::greater{}, &Entry::score);
  if (most > 0 && entries.size() > most)
    entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(most), entries.end());
}

}  // namespace mlxe
