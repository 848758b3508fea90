#include "base/cpu_features.h"
#include "kernels/table.h"

namespace mlxe {

const Kernels& kernels(Isa isa) noexcept {
  switch (isa) {
    default:
      return kKernelsScalar;
  }
}

const Kernels& kernels() {
  static const Kernels& chosen = kernels(active_variant());
  return chosen;
}

}  // namespace mlxe
