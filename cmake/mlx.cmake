# The MLX engine module. MLX comes from its Python wheel (`pip install mlx`): libmlx, headers and CMake files.
# MLXE_MLX_PYTHON names the interpreter that has it; MLX_ROOT / MLX_DIR work too.
set(MLXE_MLX_PYTHON "${CMAKE_SOURCE_DIR}/.venv/bin/python" CACHE FILEPATH "Python that has the mlx wheel")
set(mlx_of_python)
if(EXISTS ${MLXE_MLX_PYTHON})
  execute_process(COMMAND ${MLXE_MLX_PYTHON} -m mlx --cmake-dir
    OUTPUT_VARIABLE mlx_of_python OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
find_package(MLX CONFIG QUIET HINTS ${mlx_of_python})
if(NOT MLX_FOUND)
  message(FATAL_ERROR "MLX not found (looked with ${MLXE_MLX_PYTHON}). Run `make deps`, or configure with -DMLXE_WITH_MLX=OFF.")
endif()
message(STATUS "MLX: ${MLX_DIR}")

# It carries its own copy of the few base functions it needs: nothing is resolved from the program.
file(GLOB MLXE_MLX_SOURCES CONFIGURE_DEPENDS src/engine_mlx/module/*.cpp)
add_library(mlxe_engine_mlx MODULE ${MLXE_MLX_SOURCES} src/base/types.cpp)
mlxe_compile_together(mlxe_engine_mlx 8)
target_include_directories(mlxe_engine_mlx PRIVATE src include ${CMAKE_BINARY_DIR}/generated)
target_link_libraries(mlxe_engine_mlx PRIVATE mlx mlxe_flags fmt::fmt-header-only Threads::Threads ${CMAKE_DL_LIBS})
if(NOT APPLE AND NOT MLXE_SANITIZE)
  target_link_options(mlxe_engine_mlx PRIVATE -Wl,--no-undefined)
endif()
# Where the wheel put libmlx, in the build tree and installed alike. MLXE_MLX_LIB overrides it at run time.
get_target_property(mlx_location mlx IMPORTED_LOCATION_RELEASE)
get_filename_component(mlx_folder ${mlx_location} DIRECTORY)
set_target_properties(mlxe_engine_mlx PROPERTIES PREFIX "lib" SUFFIX ".so"
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR} INSTALL_RPATH ${mlx_folder} BUILD_WITH_INSTALL_RPATH ON)
# A consumer's program may lie anywhere: it gets the folder of the installed module as an rpath.
target_link_options(mlx_encoder INTERFACE
  $<INSTALL_INTERFACE:LINKER:-rpath,$<INSTALL_PREFIX>/${CMAKE_INSTALL_LIBDIR}>)
