// What this process has in memory.
#pragma once

#include <cstdint>

namespace mlxe {

// Bytes resident, mapped files included: at the highest so far, and now (the highest where the system does
// not say).
uint64_t peak_bytes();
uint64_t resident_bytes();

}  // namespace mlxe
