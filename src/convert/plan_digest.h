// Hashes that, with the hashes of the source's files, identify a conversion.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "convert/tensor_planner.h"
#include "mlx_encoder/convert.h"

namespace mlxe {

// SHA-256 of everything else that the output depends on: this program's version, the tensors and files, config.json, the
// calibration. `jobs` has one entry for each of plan.tensors.
std::string plan_digest(const ConversionPlan& plan, std::span<const TensorJob> jobs,
                        const std::string& config, const std::optional<Calibration>& calibration);

// SHA-256 of texts in this order.
std::string hash_of(std::span<const TextInput> texts);

}  // namespace mlxe
