// int8_table.h with AVX-512 VNNI and BF16.
#include "kernels/x86/int8_vnni_table.h"

namespace mlxe {

const Int8Kernels kInt8Avx512Bf16 = kVnniTable;

}  // namespace mlxe
