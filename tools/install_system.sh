#!/usr/bin/env bash
# Installs the system packages of $1 (Debian names) or $2 (Homebrew names) that are missing.
set -euo pipefail
if command -v apt-get > /dev/null; then
  missing=()
  for package in $1; do
    dpkg-query -W -f='${Status}' "$package" 2> /dev/null | grep -q "ok installed" || missing+=("$package")
  done
  if [ "${#missing[@]}" -gt 0 ]; then
    if [ "$(id -u)" -ne 0 ]; then
      echo "missing packages: ${missing[*]}; run as root: apt-get install -y ${missing[*]}" >&2
      exit 1
    fi
    echo "installing ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
  fi
elif command -v brew > /dev/null; then
  for package in $2; do
    brew list --versions "$package" > /dev/null 2>&1 || brew install "$package"
  done
else
  echo "neither apt-get nor brew here: install CMake >= 3.25, Ninja, a C++20 compiler, nlohmann_json, CLI11, {fmt}, Eigen 3," \
       "GoogleTest, Python >= 3.10 and cargo yourself" >&2
fi
