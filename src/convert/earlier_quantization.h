// Floats that were quantized before carry that error into every conversion.
#pragma once

#include <span>
#include <string>

#include "convert/conversion_source.h"
#include "convert/tensor_planner.h"

namespace mlxe {

// A warning if the source says so itself or its values do; else empty. Of matrices that were never quantized
// no more than the first rows are read.
std::string earlier_quantization(const ConversionSource& source, std::span<const TensorJob> jobs);

}  // namespace mlxe
