#!/usr/bin/env bash
# Formatting of everything git tracks: clang-format 14 for C++, rustfmt for Rust.
set -euo pipefail
git ls-files '*.cpp' '*.h' | xargs clang-format --dry-run --Werror
cargo fmt --check --manifest-path src/rust/Cargo.toml
echo "formatting: ok"
