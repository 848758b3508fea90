// One bar for all of a conversion to a target, whose parts take minutes each.
#pragma once

#include "mlx_encoder/types.h"

namespace mlxe::allocate {

// Work is in any unit, the same for all parts.
class WholeProgress {
 public:
  // `progress` hears of stage "finding bits" in thousandths of `all`. Work beyond that stays at the last of
  // them.
  WholeProgress(Progress progress, double all) : progress_(std::move(progress)), all_(all) {}

  // For the next part, whose own stage `stage` is this much of the whole; other stages of it are not passed
  // on. This must outlive it.
  Progress part(std::string_view stage, double work);
  void finish() const { say(kSteps); }

 private:
  static constexpr uint64_t kSteps = 1000;
  void say(uint64_t step) const {
    if (progress_) progress_("finding bits", step, kSteps);
  }

  Progress progress_;
  double all_, before_ = 0;
};

}  // namespace mlxe::allocate
