// Costs of the matrices that a conversion to a target may choose bits for.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "allocate/costs.h"
#include "convert/prepared_conversion.h"

namespace mlxe::allocate {

// The scheme of a matrix before its bits are chosen, and of a matrix that the output does not depend on. The dtype is
// replaced by that of the options.
inline constexpr Scheme kBaseScheme{Mode::affine, 8, 64, Dtype::f16};

struct ChosenFor {
  std::vector<TensorUse> matrices;
  std::map<std::string, Scheme> fixed;  // of the matrices that the output does not depend on
};

// The matrices that `conversion` quantizes, without those that --keep or --set name. `read`: matrices that the output
// depends on.
ChosenFor matrices_to_choose_for(const PreparedConversion& conversion, const std::vector<TensorUse>& read);

// Costs with round-to-nearest at the widths of an allocation.
std::vector<TensorCosts> measure_target_costs(SensitivityRunner& runner,
                                              const std::vector<TensorUse>& matrices, Dtype dtype,
                                              const Progress& progress);
// The approximate work of measure_target_costs(), in runs of one token through the whole model.
double work_of_costs(const SensitivityRunner& runner, const std::vector<TensorUse>& matrices, int64_t tokens);

// Scales costs by the effect of calibration, which is large for matrices with correlated inputs and small for tables.
// The effect is measured by one calibration at 4 bits. The cost at the output is proportional to the square of a
// matrix's error.
std::vector<TensorCosts> after_calibration(std::vector<TensorCosts> costs, const ConvertOptions& options,
                                           const Progress& progress);

}  // namespace mlxe::allocate
