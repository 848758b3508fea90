#include "quant/sources_hash.h"

namespace mlxe {

const char* conversion_sources_hash() noexcept {
  return MLXE_CONVERSION_SOURCES_HASH;  // cmake/source_hashes.cmake
}

}  // namespace mlxe
