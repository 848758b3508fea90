#include "base/cpu_features.h"
#include "kernels/bf16_table.h"

namespace mlxe {

const Bf16Kernels& bf16_kernels(Isa isa) noexcept {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::avx2:
    case Isa::avx_vnni:
      return kBf16Avx2;
    case Isa::avx512:
    case Isa::avx512_vnni:
      return kBf16Avx512;
    case Isa::avx512_bf16:
      return kBf16Avx512Bf16;
    case Isa::amx:
      return kBf16Amx;
#elif defined(__aarch64__)
    case Isa::neon:
    case Isa::neon_dotprod:
    case Isa::neon_i8mm:
      return kBf16Neon;
#endif
    default:
      return kBf16Scalar;
  }
}

bool has_bf16_kernels(Isa isa) noexcept {
  return &bf16_kernels(isa) != &kBf16Scalar;
}

const Bf16Kernels& bf16_kernels() {
  static const Bf16Kernels& chosen = bf16_kernels(active_variant());
  return chosen;
}

}  // namespace mlxe
