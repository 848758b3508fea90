#include "base/out_of_memory.h"

#include "rust/mlxe_rust.h"

namespace mlxe {

void on_out_of_memory(void (*handler)(size_t bytes)) noexcept {
  mlxe_on_out_of_memory(handler);
}

}  // namespace mlxe
