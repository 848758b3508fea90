#include "quant/default_scheme.h"

namespace mlxe {

Scheme default_scheme(Mode mode) noexcept {
  switch (mode) {
    case Mode::affine:
      return {.mode = mode, .bits = 8, .group_size = 64};
    case Mode::mxfp4:
      return {.mode = mode, .bits = 4, .group_size = 32};
    case Mode::mxfp8:
      return {.mode = mode, .bits = 8, .group_size = 32};
    case Mode::nvfp4:
      return {.mode = mode, .bits = 4, .group_size = 16};
    case Mode::int8:
    case Mode::fake:
      return {.mode = mode, .bits = 8};
    case Mode::none:
      break;
  }
  return {};
}

}  // namespace mlxe
