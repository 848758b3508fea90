// table.h with AVX2 and FMA: eight floats a register, 12 of the 16 registers for sums.
#include "kernels/generic/kernels_body.h"
#include "kernels/x86/avx2_vector.h"

namespace mlxe {

const Kernels kKernelsAvx2 = KernelsBody<Avx2>::table();

}  // namespace mlxe
