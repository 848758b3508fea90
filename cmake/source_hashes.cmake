# generated/source_hashes.h: what a build was made of. Editing one of the files configures anew.
function(mlxe_hash_sources variable)
  file(GLOB files CONFIGURE_DEPENDS ${ARGN})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${files})
  set(hashes "")
  foreach(file IN LISTS files)
    file(SHA256 ${file} hash)
    string(APPEND hashes ${hash})
  endforeach()
  string(SHA256 hash "${hashes}")
  string(SUBSTRING ${hash} 0 16 hash)
  set(${variable} ${hash} PARENT_SCOPE)
endfunction()

# What crosses the edge to the MLX module.
mlxe_hash_sources(MLXE_MODULE_HEADERS_HASH src/models/*.h src/format/*.h src/quant/*.h src/engine_mlx/module_api.h include/mlx_encoder/*.h)
# What the bytes of a converted folder follow from: results of another build are not taken up.
mlxe_hash_sources(MLXE_CONVERSION_SOURCES_HASH src/allocate/*.cpp src/allocate/*.h src/calibrate/*.cpp src/calibrate/*.h src/convert/*.cpp
  src/convert/*.h src/quant/*.cpp src/quant/*.h data/calibration.txt)
file(CONFIGURE OUTPUT generated/source_hashes.h CONTENT [[// Made by cmake/source_hashes.cmake.
#pragma once

#include <cstdint>

namespace mlxe {
inline constexpr uint64_t kModuleHeadersHash = 0x@MLXE_MODULE_HEADERS_HASH@;
inline constexpr const char* kConversionSourcesHash = "@MLXE_CONVERSION_SOURCES_HASH@";
}  // namespace mlxe
]] @ONLY)
