// Where a calibration notes its finished steps.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace mlxe {

// A folder for one conversion, in a hidden folder beside the output. It goes when the conversion is written or
// has failed; a killed process leaves it, and the same conversion goes on from it. What other conversions to
// the same output have left stays.
class CalibrationJournal {
 public:
  CalibrationJournal(const std::filesystem::path& output, const std::string& plan_digest);
  ~CalibrationJournal();
  CalibrationJournal(const CalibrationJournal&) = delete;
  CalibrationJournal& operator=(const CalibrationJournal&) = delete;

  const std::filesystem::path& folder() const noexcept { return folder_; }
  // A note if another calibration has left steps.
  std::optional<std::string> left_behind() const;

 private:
  std::filesystem::path all_, folder_;
};

}  // namespace mlxe
