// Memory of this process.
#pragma once

#include <cstdint>

namespace mlxe {

// Resident bytes, with mapped files: the peak so far, and now (the peak if the system does not report it).
uint64_t peak_bytes();
uint64_t resident_bytes();

}  // namespace mlxe
