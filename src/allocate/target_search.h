// From a target to the conversion that meets it.
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

  // Of a size or bits target: the best whose exact plan is within it. Costs of a classifier's matrices hardly
  // add up, so that one width for all may do better than what their sum chose: of a model with labels both
  // are measured. Errors: usage (solve_size).
  enum class Labels { none, some };
  TrialConversion by_size(Labels labels, const Warning& warning);
  // Of the others: the smallest that measures within it. `vector_spread`: HeldOutTexts'. `rounded`: costs of
  // the matrices rounded to nearest, which `runner` measured. Errors: usage (not even floats reach it).
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
