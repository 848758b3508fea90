// When memory runs out inside the Rust library, which can't throw.
#pragma once

#include <cstddef>

namespace mlxe {

// `handler` is called on the thread that could not get `bytes` bytes, for all of the process. It must end the
// process: if it returns, and without a handler, Rust aborts. The library sets none; elsewhere it throws
// std::bad_alloc.
void on_out_of_memory(void (*handler)(size_t bytes)) noexcept;

}  // namespace mlxe
