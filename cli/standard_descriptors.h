// Closed standard streams.
#pragma once

namespace mlxe::cli {

// Opens /dev/null on each of the descriptors 0, 1 and 2 that is closed. Otherwise the next file that is opened
// would get that number, and what is printed would be written into the file. To be called before anything is
// opened. Reading the replaced standard input fails, and so does writing to the replaced output, as if they
// were still closed: output that goes nowhere is an error.
void open_closed_standard_descriptors() noexcept;

}  // namespace mlxe::cli
