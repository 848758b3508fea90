#include "base/cpu_features.h"
#include "kernels/quantize_table.h"

namespace mlxe {

const QuantizeKernels& quantize_kernels(Isa isa) noexcept {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::avx512:
    case Isa::avx512_vnni:
    case Isa::avx512_bf16:
    case Isa::amx:
      return kQuantizeAvx512;
    case Isa::avx2:
    case Isa::avx_vnni:
      return kQuantizeAvx2;
#elif defined(__aarch64__)
    case Isa::neon:
    case Isa::neon_dotprod:
    case Isa::neon_i8mm:
      return kQuantizeNeon;
#endif
    default:
      return kQuantizeScalar;
  }
}

const QuantizeKernels& quantize_kernels() {
  static const QuantizeKernels& chosen = quantize_kernels(active_variant());
  return chosen;
}

}  // namespace mlxe
