# Tests that talk to libmlx itself, in an executable of their own: everything else runs where MLX is absent.
if(TARGET mlx)
  file(GLOB sources CONFIGURE_DEPENDS mlx_live/*_test.cpp)
  add_executable(test_mlx_live ${sources} lanes.cpp)
  target_include_directories(test_mlx_live PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(test_mlx_live PRIVATE mlx_encoder mlxe_flags mlx GTest::gtest fmt::fmt-header-only)
  add_lanes(mlx_live)
endif()

# The real mlx-embeddings on our folders, where `make test` has installed it.
set(MLXE_MLX_EMBEDDINGS_PYTHON ${CMAKE_SOURCE_DIR}/.venv-mlx-embeddings/bin/python CACHE FILEPATH
  "Python of tools/requirements-mlx-embeddings.txt")
if(TARGET mlxe_engine_mlx AND EXISTS ${MLXE_MLX_EMBEDDINGS_PYTHON})
  add_test(NAME mlx_embeddings COMMAND ${MLXE_MLX_EMBEDDINGS_PYTHON}
    ${CMAKE_CURRENT_SOURCE_DIR}/golden/mlx_embeddings_check.py $<TARGET_FILE:mlx-encoder>)
  # And other readers on all families: what inspect says of each holds.
  add_test(NAME readers COMMAND ${MLXE_MLX_EMBEDDINGS_PYTHON}
    ${CMAKE_SOURCE_DIR}/tools/make_readers_table.py $<TARGET_FILE:mlx-encoder>)
  set_tests_properties(mlx_embeddings readers PROPERTIES LABELS "slow;mlx" TIMEOUT 900 SKIP_RETURN_CODE 77)
endif()
