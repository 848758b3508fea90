#include "allocate/target_costs.h"

#include <iterator>
#include <set>

#include "calibrate/calibrate.h"
#include "quant/policy.h"

namespace mlxe::allocate {
namespace {

constexpr int kBits[] = {2, 4}, kOtherBits[] = {3, 5, 6, 8};  // measured, inferred
constexpr int kOtherGroups[] = {32, 128};

}  // namespace

ChosenFor matrices_to_choose_for(const PreparedConversion& conversion, const std::vector<TensorUse>& read) {
  const ConvertOptions& options = conversion.options();
  const Policy policy(options.scheme, options.keep, options.overrides);
  std::set<std::string> free;
  for (size_t i = 0; i < conversion.plan().tensors.size(); ++i) {
    const std::string& name = conversion.weights().tensors[i].source.name;
    if (conversion.plan().tensors[i].scheme.mode != Mode::none && !policy.is_named(name)) free.insert(name);
  }
  ChosenFor result;
  for (const TensorUse& t : read)
    if (free.erase(t.name) > 0) result.matrices.push_back(t);
  for (const std::string& name : free) {
    result.fixed[name] = kBaseScheme;
    result.fixed[name].dtype = options.scheme.dtype;
  }
  return result;
}

std::vector<TensorCosts> measure_target_costs(SensitivityRunner& runner,
                                              const std::vector<TensorUse>& matrices, Dtype dtype,
                                              const Progress& progress) {
  return measure_costs(runner, matrices,
                       {.bits = {std::begin(kBits), std::end(kBits)},
                        .group_size = kCostGroup,
                        .other_bits = {std::begin(kOtherBits), std::end(kOtherBits)},
                        .other_groups = {std::begin(kOtherGroups), std::end(kOtherGroups)},
                        .dtype = dtype},
                       progress);
}

double work_of_costs(const SensitivityRunner& runner, const std::vector<TensorUse>& matrices,
                     int64_t tokens) {
  double layers = 0;
  for (const TensorUse& t : matrices) layers += runner.stages() - t.stage;
  return layers / runner.stages() * static_cast<double>(tokens) * static_cast<double>(std::size(kBits));
}

std::vector<TensorCosts> after_calibration(std::vector<TensorCosts> costs, const ConvertOptions& options,
                                           const Progress& progress) {
  std::map<std::string, Scheme> schemes;
  for (const TensorCosts& t : costs)
    for (const SchemeCost& m : t.measured)
      if (m.scheme.bits == 4) schemes[t.use.name] = m.scheme;
  const CalibratedWeights calibrated =
      calibrate_weights(options.model, *options.calibration, schemes, options.threads, {}, progress);
  for (const TensorCalibration& report : calibrated.report)
    for (TensorCosts& t : costs) {
      if (t.use.name != report.name || !(report.rtn_error > 0)) continue;
      const double ratio = report.error / report.rtn_error;
      for (auto* list : {&t.measured, &t.inferred})
        for (SchemeCost& c : *list) c.cost *= ratio * ratio;
    }
  return costs;
}

}  // namespace mlxe::allocate
