// int8_table.h with AVX-512 VNNI.
#include "kernels/x86/int8_vnni_table.h"

namespace mlxe {

const Int8Kernels kInt8Avx512Vnni = kVnniTable;

}  // namespace mlxe
