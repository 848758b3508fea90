// table.h with NEON: 24 of the 32 registers for sums.
#include "kernels/arm/neon_vector.h"
#include "kernels/generic/kernels_body.h"

namespace mlxe {

const Kernels kKernelsNeon = KernelsBody<Neon>::table();

}  // namespace mlxe
