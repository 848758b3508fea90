// int8_table.h with AVX-512 VNNI.
#include "kernels/generic/int8_body.h"
#include "kernels/x86/avx512_vector.h"
#include "kernels/x86/int8_expand_avx512.h"
#include "kernels/x86/int8_vnni_tile.h"

namespace mlxe {

const Int8Kernels kInt8Avx512Vnni{
    .matmul = vnni_matmul, .expand = expand, .quantize = Int8Quantize<Avx512>::quantize};

}  // namespace mlxe
