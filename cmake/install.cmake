# `cmake --install` gives a find_package(mlx_encoder) package: headers, archives, the program, the MLX module.
include(CMakePackageConfigHelpers)
install(TARGETS mlx_encoder mlxe_rust EXPORT mlx_encoder_targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/mlx_encoder DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${MLXE_RUST_ARCHIVE} DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET mlx-encoder)
  install(TARGETS mlx-encoder RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET mlxe_engine_mlx)
  install(TARGETS mlxe_engine_mlx LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(EXPORT mlx_encoder_targets NAMESPACE mlx_encoder:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/mlx_encoder)
configure_package_config_file(cmake/mlx_encoder-config.cmake.in ${CMAKE_BINARY_DIR}/mlx_encoder-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/mlx_encoder)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/mlx_encoder-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/mlx_encoder-config.cmake ${CMAKE_BINARY_DIR}/mlx_encoder-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/mlx_encoder)
