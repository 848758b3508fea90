# The Rust static library (tokenizers, sha256, charts, TOML, zip archives, Parquet, progress bars): built by cargo from src/rust with its
# lock file, linked as one archive.
find_program(MLXE_CARGO cargo HINTS $ENV{HOME}/.cargo/bin)
if(NOT MLXE_CARGO)
  message(FATAL_ERROR "cargo was not found. Install Rust 1.85 or newer, for example with rustup (https://rustup.rs).")
endif()
set(MLXE_RUST_ARCHIVE ${MLXE_CARGO_TARGET_DIR}/release/libmlxe_rust.a)
set(MLXE_RUST_ENVIRONMENT CARGO_TARGET_DIR=${MLXE_CARGO_TARGET_DIR})
set(MLXE_RUST_OPTIONS)
if(MLXE_BUILD_FUZZERS)
  # libFuzzer sees which branches an input takes in the crates too. Naming the target keeps the flags from what cargo
  # runs while building, and the archive apart from the usual one.
  execute_process(COMMAND ${MLXE_CARGO} -vV OUTPUT_VARIABLE MLXE_CARGO_VERSION COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCH "host: ([^\n]+)" unused "${MLXE_CARGO_VERSION}")
  set(MLXE_RUST_ARCHIVE ${MLXE_CARGO_TARGET_DIR}/${CMAKE_MATCH_1}/release/libmlxe_rust.a)
  set(MLXE_RUST_OPTIONS --target ${CMAKE_MATCH_1})
  list(APPEND MLXE_RUST_ENVIRONMENT "RUSTFLAGS=-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares")
endif()
file(GLOB_RECURSE MLXE_RUST_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/rust/src/*.rs)
add_custom_command(
  OUTPUT ${MLXE_RUST_ARCHIVE}
  COMMAND ${CMAKE_COMMAND} -E env ${MLXE_RUST_ENVIRONMENT}
          ${MLXE_CARGO} build --release --locked --quiet ${MLXE_RUST_OPTIONS} --manifest-path ${CMAKE_SOURCE_DIR}/src/rust/Cargo.toml
  COMMAND ${CMAKE_COMMAND} -E touch ${MLXE_RUST_ARCHIVE}
  DEPENDS ${MLXE_RUST_SOURCES} ${CMAKE_SOURCE_DIR}/src/rust/Cargo.toml ${CMAKE_SOURCE_DIR}/src/rust/Cargo.lock
  COMMENT "Building the Rust static library (cargo)"
  VERBATIM)
add_custom_target(mlxe_rust_build DEPENDS ${MLXE_RUST_ARCHIVE})
add_library(mlxe_rust INTERFACE)
add_dependencies(mlxe_rust mlxe_rust_build)
target_link_libraries(mlxe_rust INTERFACE
  $<BUILD_INTERFACE:${MLXE_RUST_ARCHIVE}>
  $<INSTALL_INTERFACE:$<INSTALL_PREFIX>/${CMAKE_INSTALL_LIBDIR}/libmlxe_rust.a>)
