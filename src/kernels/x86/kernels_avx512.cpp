// table.h with AVX-512 F, BW, DQ, VL: sixteen floats a register, 24 of the 32 registers for sums.
#include "kernels/generic/kernels_body.h"
#include "kernels/x86/avx512_vector.h"

namespace mlxe {

const Kernels kKernelsAvx512 = KernelsBody<Avx512>::table();

}  // namespace mlxe
