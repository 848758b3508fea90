// What was measured before, in a JSON file: docs/json/baseline.md.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "compare/quality.h"

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

}  // namespace mlxe
