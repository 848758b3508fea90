#!/usr/bin/env bash
# Installs BUILD_DIR into an empty prefix, builds the consumer against it and runs it on MODEL.
set -euo pipefail
build=$1 model=$2 source=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" > "$work/install.log"
cmake -S "$source" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_BUILD_TYPE=Release > "$work/configure.log"
cmake --build "$work/build" > "$work/build.log" || { cat "$work/build.log"; exit 1; }
output=$("$work/build/consumer" "$model")
echo "consumer: $output"
[[ $output =~ ^[0-9]+\ -?[01]\.[0-9]{4}$ ]] || { echo "expected: dimension and a cosine" >&2; exit 1; }
"$work/prefix/bin/mlx-encoder" embed "$model" "The sky is blue." --json | grep -q '"embedding"'
# A folder that is not there must give the documented status, not a crash.
status=0; "$work/build/consumer" "$work/absent" 2> /dev/null || status=$?
[ "$status" -eq 4 ] || { echo "absent folder: exit status $status, expected 4" >&2; exit 1; }
