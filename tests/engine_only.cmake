# The tests of the cpu engine for another architecture, under qemu as several processors, so that each kernel variant is the
# best there once.
find_program(MLXE_QEMU qemu-aarch64 REQUIRED)

function(add_program name)
  add_executable(${name} ${ARGN})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE mlx_encoder mlxe_flags GTest::gtest_main GTest::gmock fmt::fmt-header-only)
  target_compile_options(${name} PRIVATE ${MLXE_LIGHT_OPTIMISATION})
  target_compile_definitions(${name} PRIVATE MLXE_BUILD_DIR="${CMAKE_BINARY_DIR}" MLXE_NM="${CMAKE_NM}")
endfunction()
file(GLOB sources CONFIGURE_DEPENDS kernels/*_test.cpp)
add_program(test_kernels ${sources})
add_program(test_engine unit/thread_pool_test.cpp models/call_queue_test.cpp models/arena_test.cpp models/bf16_engine_test.cpp models/engine_cpu_test.cpp models/int8_engine_test.cpp)

# All kernel tests but one that measures speed, which says nothing about an emulator.
set(kernel_tests "-Variant.ThePeaksArePlausibleNumbers")
# Of the engine's tests those of 8-bit activations, which take seconds, and with bfloat16, which has one set of kernels, the schemes
# once. Not the one of ten thousand calls (minutes, and the memory
# it watches would be the emulator's), nor those that start every variant: here each variant has its own processor; nor the
# twins of the tolerances, which no variant changes.
set(engine_tests "Arena.*:Int8Engine.*:*EveryQuantizedScheme.*:Bf16Engine.Widths*")
set(not_here "*.TenThousand*:*.OneDamagedScaleShows*")
function(add_runs cpu variants)
  set(emulator ${MLXE_QEMU} -L /usr/aarch64-linux-gnu -cpu ${cpu})
  list(JOIN emulator " " command)
  add_test(NAME "kernels on ${cpu}" COMMAND ${emulator} $<TARGET_FILE:test_kernels> --gtest_filter=${kernel_tests})
  add_test(NAME "engine on ${cpu}" COMMAND ${emulator} $<TARGET_FILE:test_engine> --gtest_filter=${engine_tests}${ARGN}:-${not_here})
  set_tests_properties("kernels on ${cpu}" "engine on ${cpu}" PROPERTIES TIMEOUT 900
    ENVIRONMENT "MLXE_TEST_VARIANTS=${variants};MLXE_TEST_EMULATOR=${command}")
endfunction()
add_runs(cortex-a57 "scalar neon" ":*Bf16EngineScheme.*")
add_runs(neoverse-n1 "scalar neon neon_dotprod")
add_runs(max "scalar neon neon_dotprod neon_i8mm")
