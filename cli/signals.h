// What the program does when a signal ends it.
#pragma once

namespace mlxe::cli {

// From here on an interrupt, a hang-up or a request to end removes the temporary files and folders of this
// process before it ends it. To be called before any thread is started. A write past the limit of a file's
// size becomes an error of that write.
void remove_leftovers_on_signals();

}  // namespace mlxe::cli
