#include "convert/calibration_journal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <system_error>

#include "base/output_path.h"
#include "base/remove_tree.h"

namespace mlxe {
namespace fs = std::filesystem;

CalibrationJournal::CalibrationJournal(const fs::path& output, const std::string& plan_digest)
    : all_(hidden_sibling(output, ".calibration")), folder_(all_ / plan_digest.substr(0, 16)) {}

CalibrationJournal::~CalibrationJournal() {
  remove_tree(folder_.c_str());
  ::rmdir(all_.c_str());  // unless it holds the steps of another calibration
}

std::optional<std::string> CalibrationJournal::left_behind() const {
  std::error_code none;
  for (const fs::directory_entry& entry : fs::directory_iterator(all_, none))
    if (entry.path() != folder_)
      return fmt::format(
          "{}: holds finished steps of another calibration that was killed; it goes on from "
          "them when it is started again, else remove the folder",
          all_.string());
  return std::nullopt;
}

}  // namespace mlxe
