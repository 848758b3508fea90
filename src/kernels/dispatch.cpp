#include "base/cpu_features.h"
#include "kernels/table.h"

namespace mlxe {

const Kernels& kernels(Isa isa) noexcept {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::sse2:
      return kKernelsSse2;
    case Isa::avx2:
    case Isa::avx_vnni:
      return kKernelsAvx2;
    case Isa::avx512:
    case Isa::avx512_vnni:
    case Isa::avx512_bf16:
    case Isa::amx:
      return kKernelsAvx512;
#elif defined(__aarch64__)
    case Isa::neon:
    case Isa::neon_dotprod:
    case Isa::neon_i8mm:
      return kKernelsNeon;
#endif
    default:
      return kKernelsScalar;
  }
}

const Kernels& kernels() {
  static const Kernels& chosen = kernels(active_variant());
  return chosen;
}

}  // namespace mlxe
