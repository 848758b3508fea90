#include "base/cpu_features.h"
#include "kernels/int8_table.h"

namespace mlxe {

const Int8Kernels& int8_kernels(Isa isa) noexcept {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::avx2:
      return kInt8Avx2;
    case Isa::avx_vnni:
      return kInt8AvxVnni;
    case Isa::avx512:
      return kInt8Avx512;
    case Isa::avx512_vnni:
      return kInt8Avx512Vnni;
    case Isa::avx512_bf16:
      return kInt8Avx512Bf16;
    case Isa::amx:
      return kInt8Amx;
#elif defined(__aarch64__)
    case Isa::neon:
      return kInt8Neon;
    case Isa::neon_dotprod:
      return kInt8NeonDotprod;
    case Isa::neon_i8mm:
      return kInt8NeonI8mm;
#endif
    default:
      return kInt8Scalar;
  }
}

bool has_int8_kernels(Isa isa) noexcept {
  return &int8_kernels(isa) != &kInt8Scalar;
}

const Int8Kernels& int8_kernels() {
  static const Int8Kernels& chosen = int8_kernels(active_variant());
  return chosen;
}

}  // namespace mlxe
