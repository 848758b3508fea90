#pragma once

namespace mlxe {

// Hash of the source files that the bytes of a converted folder depend on. Journals and records made with
// another hash are not reused.
const char* conversion_sources_hash() noexcept;

}  // namespace mlxe
