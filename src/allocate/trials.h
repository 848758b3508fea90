// Converts allocations into hidden folders and measures them. One of them finally gets the output folder's name.
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

// An allocation in a hidden folder. The folder is removed with this object, unless it is committed.
struct TrialConversion {
  size_t index = 0;  // of Trials::all()
  Allocation allocation;
  std::unique_ptr<PendingConversion> pending;
};

// The part of a recipe that describes the request.
struct RecipeOrigin {
  std::string target, request;  // as in Recipe
  std::optional<RecipeCalibration> calibration;
};

class Trials {
 public:
  // All must outlive this.
  Trials(const FolderClaim& claim, const AllocationSpace& space, const HeldOutTexts& held_out)
      : claim_(claim), space_(space), held_out_(held_out) {}

  // Converts and measures on the held-out texts. Errors: those of convert().
  TrialConversion make(Allocation allocation, const Progress& progress);
  const std::vector<Trial>& all() const noexcept { return all_; }  // in the order of conversion
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
