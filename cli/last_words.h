// Ends of the program that no exception can bring about, with a sentence and an exit status all the same (5):
//   - a mapped file lost bytes while it was in use, or its device fails (SIGBUS)
//   - memory ran out inside the Rust library
//   - an exception where none can be caught
#pragma once

namespace mlxe::cli {

// From here on. `json`: the error goes to standard output as JSON too. Temporary files are removed as after a
// signal.
void install_last_words(bool json) noexcept;

}  // namespace mlxe::cli
