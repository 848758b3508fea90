# The tests of the cpu engine for another architecture: GoogleTest is built along from the system's sources, and each program
# runs under qemu as several processors, so that each kernel variant is the best there once.
enable_language(C)
add_subdirectory(/usr/src/googletest ${CMAKE_BINARY_DIR}/googletest EXCLUDE_FROM_ALL)
target_compile_options(gtest PRIVATE -w)  # g++ 12, not us (GCC bug 105329)
find_program(MLXE_QEMU qemu-aarch64 REQUIRED)

file(GLOB sources CONFIGURE_DEPENDS kernels/*_test.cpp)
add_executable(test_kernels ${sources})
target_include_directories(test_kernels PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(test_kernels PRIVATE mlx_encoder mlxe_flags GTest::gtest_main GTest::gmock)
target_compile_options(test_kernels PRIVATE ${MLXE_TEST_OPTIMISATION})
target_compile_definitions(test_kernels PRIVATE MLXE_BUILD_DIR="${CMAKE_BINARY_DIR}" MLXE_NM="${CMAKE_NM}")

function(run_as cpu variants)
  set(emulator ${MLXE_QEMU} -L /usr/aarch64-linux-gnu -cpu ${cpu})
  list(JOIN emulator " " command)
  add_test(NAME "kernels on ${cpu}" COMMAND ${emulator} $<TARGET_FILE:test_kernels>)
  set_tests_properties("kernels on ${cpu}" PROPERTIES TIMEOUT 900
    ENVIRONMENT "MLXE_TEST_VARIANTS=${variants};MLXE_TEST_EMULATOR=${command}")
endfunction()
run_as(cortex-a57 "scalar neon")
run_as(neoverse-n1 "scalar neon neon_dotprod")
run_as(max "scalar neon neon_dotprod neon_i8mm")
