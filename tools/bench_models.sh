#!/usr/bin/env bash
# The models `make bench` and `make bench-peers` time: all-MiniLM-L6-v2 and a full-size DistilBERT with random weights, each at
# 8 and 4 bits. What is there already stays.
#   tools/bench_models.sh PROGRAM MINILM PYTHON OUT
set -euo pipefail
program=$1 minilm=$2 python=$3 out=$4
mkdir -p "$out"
ln -sfn "$minilm" "$out/MiniLM"
[ -s "$out/DistilBERT/tokenizer_config.json" ] || "$python" tools/make_random_distilbert.py "$out/DistilBERT"
for model in MiniLM DistilBERT; do
  for bits in 8 4; do
    "$program" convert "$out/$model" --mlx-path "$out/$model-${bits}bit" -q --q-bits $bits --calibrate none --json > "$out/convert.log" ||
      { cat "$out/convert.log"; exit 1; }
  done
done
