// bf16_table.h with AVX-512 F, BW, DQ, VL, without bfloat16 instructions.
#include "kernels/x86/bf16_avx512_vector.h"
#include "kernels/x86/gelu_avx512.h"

namespace mlxe {

const Bf16Kernels kBf16Avx512{.matmul = Bf16Fma<Bf16Avx512>::matmul,
                              .decode = Bf16Decode<Bf16Avx512>::decode,
                              .round = round_to_bf16<Bf16Avx512>,
                              .gelu_erf = gelu_erf,
                              .attend = nullptr,
                              .attend_bytes = nullptr,
                              .spin = nullptr,
                              .flops_per_round = 0};

}  // namespace mlxe
