// int8_table.h with AVX-512 VNNI and BF16.
#include "kernels/x86/attention_avx512.h"
#include "kernels/x86/int8_rows_avx512.h"
#include "kernels/x86/int8_vnni_tile.h"

namespace mlxe {

const Int8Kernels kInt8Avx512Bf16{.matmul = vnni_matmul,
                                  .expand = expand,
                                  .quantize = quantize,
                                  .gelu_erf = gelu_erf,
                                  .attend = Bf16Attention<VectorProducts>::attend,
                                  .attend_bytes = Bf16Attention<VectorProducts>::scratch_bytes};

}  // namespace mlxe
