// The folder in which a calibration records its finished steps.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace mlxe {

// A folder for one conversion, in a hidden folder beside the output. It is removed when the conversion succeeds or
// fails. A killed process leaves it, and the same conversion resumes from it. Folders of other conversions to the same
// output are not touched.
class CalibrationJournal {
 public:
  CalibrationJournal(const std::filesystem::path& output, const std::string& plan_digest);
  ~CalibrationJournal();
  CalibrationJournal(const CalibrationJournal&) = delete;
  CalibrationJournal& operator=(const CalibrationJournal&) = delete;

  const std::filesystem::path& folder() const noexcept { return folder_; }
  // A note if another calibration has left steps there.
  std::optional<std::string> left_behind() const;

 private:
  std::filesystem::path all_, folder_;
};

}  // namespace mlxe
