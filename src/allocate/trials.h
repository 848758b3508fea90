// Allocations that are converted and measured before one of them gets the folder's name.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "allocate/allocation_space.h"
#include "allocate/held_out.h"
#include "allocate/recipe.h"
#include "convert/pending_conversion.h"

namespace mlxe::allocate {

// An allocation in a hidden folder, which goes with this.
struct TrialConversion {
  size_t index = 0;  // of Trials::all()
  Allocation allocation;
  std::unique_ptr<PendingConversion> pending;
};

// What a recipe says of the request, not of the allocation.
struct RecipeOrigin {
  std::string target, request;  // as Recipe's
  std::optional<RecipeCalibration> calibration;
};

class Trials {
 public:
  // All must outlive this.
  Trials(const FolderClaim& claim, const AllocationSpace& space, const HeldOutTexts& held_out)
      : claim_(claim), space_(space), held_out_(held_out) {}

  // Converts and measures on the held-out texts. Errors: those of convert().
  TrialConversion make(Allocation allocation, const Progress& progress);
  const std::vector<Trial>& all() const noexcept { return all_; }  // in the order they were made
  const Trial& trial(const TrialConversion& made) const { return all_[made.index]; }

  // Adds recipe and chart and gives the folder its name. Errors: those of convert().
  Conversion commit(const TrialConversion& made, const RecipeOrigin& origin) const;

 private:
  const FolderClaim& claim_;
  const AllocationSpace& space_;
  const HeldOutTexts& held_out_;
  std::vector<Trial> all_;
};

// Counts the recipe and the chart in conversion.plan.folder_bytes.
void add_own_files(Conversion& conversion);

}  // namespace mlxe::allocate
