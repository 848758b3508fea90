# What a build was made of. Editing one of the files configures anew.
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
file(CONFIGURE OUTPUT generated/module_headers_hash.h CONTENT [[// Made by cmake/source_hashes.cmake.
#pragma once

#include <cstdint>

namespace mlxe {
inline constexpr uint64_t kModuleHeadersHash = 0x@MLXE_MODULE_HEADERS_HASH@;
}  // namespace mlxe
]] @ONLY)

# What the bytes of a converted folder follow from: one file knows it, so that an edit compiles nothing else anew.
mlxe_hash_sources(MLXE_CONVERSION_SOURCES_HASH src/allocate/*.cpp src/allocate/*.h src/calibrate/*.cpp src/calibrate/*.h src/convert/*.cpp
  src/convert/*.h src/quant/*.cpp src/quant/*.h data/calibration.txt)
set_source_files_properties(src/quant/sources_hash.cpp PROPERTIES
  COMPILE_DEFINITIONS MLXE_CONVERSION_SOURCES_HASH="${MLXE_CONVERSION_SOURCES_HASH}")
