// Detects floats that were quantized before, whose error remains in every conversion.
#pragma once

#include <span>
#include <string>

#include "convert/conversion_source.h"
#include "convert/tensor_planner.h"

namespace mlxe {

// A warning if the source's files or its values show an earlier quantization; else empty. Reads only the first rows of
// matrices that were never quantized.
std::string earlier_quantization(const ConversionSource& source, std::span<const TensorJob> jobs);

}  // namespace mlxe
