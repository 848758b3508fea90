// Costs of the matrices that a conversion to a target may choose bits for.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "allocate/costs.h"
#include "convert/prepared_conversion.h"

namespace mlxe::allocate {

// Of a matrix before bits are chosen for it, and of one that the output does not read. The dtype is that of
// the options.
inline constexpr Scheme kBaseScheme{Mode::affine, 8, 64, Dtype::f16};

struct ChosenFor {
  std::vector<TensorUse> matrices;
  std::map<std::string, Scheme> fixed;  // of the matrices the output does not read, whose cost nobody knows
};

// Of those `conversion` quantizes, all that --keep and --set do not name. `read`: what the output reads.
ChosenFor matrices_to_choose_for(const PreparedConversion& conversion, const std::vector<TensorUse>& read);

// Of round-to-nearest, at the widths an allocation chooses from.
std::vector<TensorCosts> measure_target_costs(SensitivityRunner& runner,
                                              const std::vector<TensorUse>& matrices, Dtype dtype,
                                              const Progress& progress);
// Of these, in runs of a token through the whole model, about.
double work_of_costs(const SensitivityRunner& runner, const std::vector<TensorUse>& matrices, int64_t tokens);

// What calibration saves differs from matrix to matrix: much where inputs are correlated, little in tables.
// One calibration at 4 bits says how much; an output's cost goes as the square of a matrix's error.
std::vector<TensorCosts> after_calibration(std::vector<TensorCosts> costs, const ConvertOptions& options,
                                           const Progress& progress);

}  // namespace mlxe::allocate
