// Ends the program with an error message and exit status 5 where no exception can be thrown:
//   - a mapped file was truncated while it was in use, or its device failed (SIGBUS);
//   - memory ran out inside the Rust library;
//   - an exception was thrown where none can be caught.
#pragma once

namespace mlxe::cli {

// Installs the handlers. `json`: also prints the error as JSON on standard output. Temporary files are
// removed, as after a signal.
void install_last_words(bool json) noexcept;

}  // namespace mlxe::cli
