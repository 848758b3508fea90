// Earlier measurements in a JSON file: docs/json/baseline.md.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "gates/measured.h"

namespace mlxe {

struct BaselineValue {
  double value = 0;
  std::string version, date, machine;  // of the run that measured it
};

class Baseline {
 public:
  Baseline() = default;
  // Errors: not_found, io, format.
  explicit Baseline(const std::filesystem::path& file);

  // The value measured by the same command; else the value of another command, for the same model.
  std::optional<BaselineValue> find(const std::string& model, const std::string& name, MeasuredBy by) const;
  void put(const Measured& found);
  std::string to_json() const;

 private:
  std::vector<Measured> runs_;
};

// Adds measured values to a baseline. Creates the file if it is missing. Replaces the values of the same command and
// model. Processes that share the file wait for one another. Errors: format (the file is not a baseline), io.
void save_baseline(const std::filesystem::path& file, const Measured& found);
// To call before long work: throws the errors that save_baseline would throw after it.
void require_baseline_place(const std::filesystem::path& file);

}  // namespace mlxe
