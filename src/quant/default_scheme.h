// Default bits and group size of each mode.
#pragma once

#include "mlx_encoder/quantize.h"

namespace mlxe {

// Bits and group size of a mode: affine 8 and 64 (ours), mxfp4 4 and 32, mxfp8 8 and 32, nvfp4 4 and 16
// (MLX's).
Scheme default_scheme(Mode mode) noexcept;

}  // namespace mlxe
