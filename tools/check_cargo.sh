#!/usr/bin/env bash
# Rust is needed for the tokenizer. Debian 12's own (1.63) is too old: say so instead of failing in the middle of a build.
set -euo pipefail
need=$(sed -nE 's/^rust-version *= *"([0-9.]+)"/\1/p' src/rust/Cargo.toml)
if ! command -v cargo > /dev/null; then
  echo "cargo was not found. Install Rust $need or newer, for example with rustup (https://rustup.rs), then run make again." >&2
  exit 1
fi
found=$(cargo --version | awk '{print $2}')
if [ "$(printf '%s\n%s\n' "$need" "${found%%-*}" | sort -V | head -n 1)" != "$need" ]; then
  echo "cargo $found was found, $need or newer is needed (Debian 12 ships 1.63). Install a newer Rust, for example with" \
       "rustup (https://rustup.rs), and put it before $(command -v cargo) in PATH." >&2
  exit 1
fi
