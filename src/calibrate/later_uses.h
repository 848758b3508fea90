// Linears that share weights: the moments of every use but the first.
//
// A shared matrix is rounded once, when the run reaches its first use. The Hessian is the sum over all uses. The inputs
// of the later uses are then known for the original model alone.
#pragma once

#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <tuple>
#include <vector>

#include "calibrate/moments.h"
#include "engine_cpu/weight.h"
#include "models/batch.h"
#include "models/plan.h"

namespace mlxe::calibrate {

// Linears of one input that are used together, as in Fitter::moments().
struct LinearGroup {
  std::vector<WeightId> weights;
  int64_t outputs = 0;

  LinearGroup(std::span<const Linear> linears, int64_t group_outputs);
  bool operator<(const LinearGroup& other) const {
    return std::tie(weights, outputs) < std::tie(other.weights, other.outputs);
  }
};

using GroupMoments = std::map<LinearGroup, std::unique_ptr<MomentSums>>;

// Runs the encoder on the original weights. Returns the moments of groups with a linear of the weights `shared`, summed
// over all uses but the first. All tokens of all uses count alike. `scratch`: the folder of the activation files.
GroupMoments moments_of_later_uses(const Plan& plan, const std::set<WeightId>& shared,
                                   const std::deque<cpu::Weight>& original, const Batch& batch,
                                   const std::filesystem::path& scratch, ThreadPool& pool);

}  // namespace mlxe::calibrate
