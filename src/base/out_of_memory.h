// Out of memory inside the Rust library, which can't throw.
#pragma once

#include <cstddef>

namespace mlxe {

// Sets the handler of the process. It is called on the thread that could not allocate `bytes` bytes, and
// must end the process: if it returns, or if no handler is set, Rust aborts. Only the program sets a
// handler. (C++ code throws std::bad_alloc instead.)
void on_out_of_memory(void (*handler)(size_t bytes)) noexcept;

}  // namespace mlxe
