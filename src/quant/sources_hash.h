#pragma once

namespace mlxe {

// Of the sources that the bytes of a converted folder follow from. Journals and records of another build are not taken up.
const char* conversion_sources_hash() noexcept;

}  // namespace mlxe
