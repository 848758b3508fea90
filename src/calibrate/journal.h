// Records the finished steps of a calibration on disk, so that an interrupted calibration can be resumed.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "calibrate/calibrate.h"

namespace mlxe::calibrate {

// A folder with one file for each step. `key` identifies everything that the results depend on. Steps with another
// key are not used, and are removed. Nothing is written before the first step.
class Journal {
 public:
  // An empty folder name: nothing is recorded.
  Journal(std::filesystem::path folder, std::string key);

  // The results of earlier runs: matrices of these schemes, and the biases of their linears. Stops at the first
  // damaged file.
  CalibratedWeights read(const std::map<std::string, Scheme>& schemes);
  // Adds a step with the matrices of `all` that are not recorded yet, and their biases. `bias_of`: name of the
  // changed bias, by the matrix's name. Errors: io.
  void add(const CalibratedWeights& all, const std::map<std::string, std::string>& bias_of);

 private:
  std::filesystem::path file(size_t step) const;

  std::filesystem::path folder_;
  std::string key_;
  size_t steps_ = 0;
  std::set<std::string> matrices_;
};

}  // namespace mlxe::calibrate
