// Conclusions from all cells: recommendation and exit status.
#include <algorithm>

#include "mlx_encoder/matrix.h"

namespace mlxe {

const char* name(CellState state) noexcept {
  switch (state) {
    case CellState::planned:
      return "planned";
    case CellState::measured:
      return "measured";
    case CellState::recorded:
      return "recorded";
    case CellState::failed:
      return "failed";
  }
  return "";
}

bool SweepCell::passed() const {
  return is_done() && std::ranges::all_of(gates, &Gate::passed);
}

const SweepCell* SweepResult::recommended(const std::string& model) const {
  const SweepCell* best = nullptr;
  for (const SweepCell& c : cells) {
    if (c.model != model || !c.passed()) continue;
    if (best == nullptr || c.bytes < best->bytes ||
        (c.bytes == best->bytes && c.cosine_mean > best->cosine_mean))
      best = &c;
  }
  return best;
}

int SweepResult::status() const {
  for (const SweepCell& c : cells)
    if (c.state == CellState::failed) return exit_status(c.error.value_or(ErrorCode::internal));
  for (const SweepCell& c : cells)
    if (c.is_done() && !c.passed()) return exit_status(ErrorCode::gate);
  return 0;
}

}  // namespace mlxe
