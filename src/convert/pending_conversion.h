// A conversion that is written and verified, in a hidden folder.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "convert/prepared_conversion.h"
#include "format/folder_writer.h"
#include "format/provenance.h"

namespace mlxe {

// Removes its folder, unless commit() was called.
class PendingConversion {
 public:
  // PreparedConversion::write().
  PendingConversion(const PreparedConversion& prepared, const FolderClaim& claim, const Progress& progress);

  // Files may be added to this folder.
  const std::filesystem::path& folder() const noexcept { return pending_.path(); }
  // Adds the golden and mlx_encoder.json, and gives the folder its name. Errors: those of PendingFolder::commit and
  // TextRunner.
  Conversion commit();

 private:
  void write_golden();
  void leave_golden_out(const std::string& why);

  PendingFolder pending_;
  Conversion result_;
  std::filesystem::path model_;
  int threads_;
  bool strict_;
  Warning warning_;
  std::optional<Golden> golden_;  // without values
  Provenance provenance_;
};

}  // namespace mlxe
