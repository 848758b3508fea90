// What was measured before, in a JSON file: docs/json/baseline.md.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "gates/measured.h"

namespace mlxe {

struct BaselineValue {
  double value = 0;
  std::string version, date, machine;  // of the run that found it
};

class Baseline {
 public:
  Baseline() = default;
  // Errors: not_found, io, format.
  explicit Baseline(const std::filesystem::path& file);

  // The same command's value, else any other's of the model.
  std::optional<BaselineValue> find(const std::string& model, const std::string& name, MeasuredBy by) const;
  void put(const Measured& found);
  std::string to_json() const;

 private:
  std::vector<Measured> runs_;
};

// Adds what was found to a baseline, made if missing; replaces what the same command said of the same model.
// Processes that share the file wait for one another. Errors: format (the file is something else), io.
void save_baseline(const std::filesystem::path& file, const Measured& found);
// For who saves after long work: throws now what save_baseline would throw then.
void require_baseline_place(const std::filesystem::path& file);

}  // namespace mlxe
