// A conversion that is written and verified, in a hidden folder.
#pragma once

#include <filesystem>

#include "convert/prepared_conversion.h"
#include "format/folder_writer.h"

namespace mlxe {

// Removes its folder, unless commit() was called.
class PendingConversion {
 public:
  // PreparedConversion::write().
  PendingConversion(const PreparedConversion& prepared, const FolderClaim& claim, const Progress& progress);

  // Files may be added to this folder.
  const std::filesystem::path& folder() const noexcept { return pending_.path(); }
  // Gives the folder its name. Errors: as PendingFolder::commit.
  Conversion commit();

 private:
  PendingFolder pending_;
  Conversion result_;
};

}  // namespace mlxe
