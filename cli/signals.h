// Cleans up when a signal ends the program.
#pragma once

namespace mlxe::cli {

// Makes the signals that end a process (INT, TERM, HUP, QUIT, PIPE, ALRM, XCPU, USR1, USR2) remove its
// temporary files and folders before they do so. To be called before any thread is started. Also makes a write
// beyond the limit of a file's size fail, instead of ending the process.
void remove_leftovers_on_signals();

}  // namespace mlxe::cli
