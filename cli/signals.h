// Cleans up when a signal ends the program.
#pragma once

namespace mlxe::cli {

// Makes INT, HUP and TERM remove the temporary files and folders of this process before they end it. To be
// called before any thread is started. Also makes a write beyond the limit of a file's size fail, instead
// of ending the process.
void remove_leftovers_on_signals();

}  // namespace mlxe::cli
