// Finds the conversion that meets a target.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "allocate/allocation_space.h"
#include "allocate/held_out.h"
#include "allocate/sensitivity_runner.h"
#include "allocate/trials.h"
#include "mlx_encoder/allocate.h"

namespace mlxe::allocate {

class TargetSearch {
 public:
  // All must outlive this. `progress`: for each conversion that is made.
  TargetSearch(const Target& target, const AllocationSpace& space, Trials& trials,
               std::function<Progress()> progress)
      : target_(target), space_(space), trials_(trials), progress_(std::move(progress)) {}

  // For a size or bits target: the best conversion whose exact plan meets it. Costs of a classifier's matrices are
  // hardly additive, so one width for all matrices may be better than the allocation chosen by their sum. For a model
  // with labels both are measured. Errors: usage (solve_size).
  enum class Labels { none, some };
  TrialConversion by_size(Labels labels, const Warning& warning);
  // For other targets: the smallest conversion whose measured figure meets it. `vector_spread`: that of HeldOutTexts.
  // `rounded`: costs with round-to-nearest, measured by `runner`. Errors: usage (not even floats meet the target).
  TrialConversion by_measuring(double vector_spread, SensitivityRunner& runner,
                               const std::vector<TensorCosts>& rounded);

  bool chose_one_width() const noexcept { return one_width_; }

 private:
  TrialConversion make(Allocation allocation) { return trials_.make(std::move(allocation), progress_()); }

  const Target& target_;
  const AllocationSpace& space_;
  Trials& trials_;
  std::function<Progress()> progress_;
  bool one_width_ = false;
};

}  // namespace mlxe::allocate
