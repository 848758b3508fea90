// What a calibration has finished, on disk as it goes, so that one that was killed goes on where it stopped.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "calibrate/calibrate.h"

namespace mlxe::calibrate {

// A folder with one file a step. Steps of a run with another `key` (all that its results follow from) are not
// used, and removed. Nothing is made on disk before the first step.
class Journal {
 public:
  // An empty folder name: nothing is kept.
  Journal(std::filesystem::path folder, std::string key);

  // What earlier runs finished: matrices of these schemes, and their linears' biases. A file that is damaged
  // ends it there.
  CalibratedWeights read(const std::map<std::string, Scheme>& schemes);
  // Adds the matrices of `all` that are not there yet, and their biases; `bias_of` names those that changed,
  // by the matrix's name. Errors: io.
  void add(const CalibratedWeights& all, const std::map<std::string, std::string>& bias_of);

 private:
  std::filesystem::path file(size_t step) const;

  std::filesystem::path folder_;
  std::string key_;
  size_t steps_ = 0;
  std::set<std::string> matrices_;
};

}  // namespace mlxe::calibrate
