// int8_table.h with AVX-512 VNNI.
#include "kernels/x86/int8_rows_avx512.h"
#include "kernels/x86/int8_vnni_tile.h"

namespace mlxe {

const Int8Kernels kInt8Avx512Vnni{.matmul = vnni_matmul, .expand = expand, .quantize = quantize};

}  // namespace mlxe
