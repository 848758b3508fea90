#!/usr/bin/env bash
# On a Mac: the mlx engine against transformers on MPS, for all-MiniLM-L6-v2. Untested: written on Linux.
# Usage: bench_mac.sh PROGRAM MINILM_FOLDER. Leaves reports/bench-mac.json and prints a table.
set -euo pipefail
program=$1 original=$2
if [ "$(uname -s)" != Darwin ]; then
  echo "bench-mac compares with transformers on MPS and needs a Mac; this is $(uname -s)" >&2
  exit 2
fi
[ -d .venv-bench ] || python3 -m venv .venv-bench
.venv-bench/bin/python -m pip install --quiet -r tools/requirements-bench-mac.txt
mkdir -p models reports
for bits in 8 4; do
  "$program" convert "$original" --mlx-path "models/minilm-${bits}bit" -q --q-bits "$bits"
done
.venv-bench/bin/python tools/bench_mac.py "$program" "$original" models/minilm-8bit models/minilm-4bit
