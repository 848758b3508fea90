// One progress bar for a conversion to a target, whose parts take minutes each.
#pragma once

#include "mlx_encoder/types.h"

namespace mlxe::allocate {

// The unit of work is arbitrary, but the same for all parts.
class WholeProgress {
 public:
  // Reports the stage "finding bits" in thousandths of `all`. If the work exceeds `all`, the bar stays at the end.
  WholeProgress(Progress progress, double all) : progress_(std::move(progress)), all_(all) {}

  // The progress callback of the next part, with this much `work`. Reports of stages other than `stage` are ignored.
  // This object must outlive the callback.
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
