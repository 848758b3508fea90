#!/usr/bin/env bash
# Runs every built fuzzer for SECONDS each, two at a time, on its committed corpus; fails on a crash, leak or hang.
#   tests/fuzz/run.sh 60
set -euo pipefail
seconds=${1:?usage: tests/fuzz/run.sh SECONDS}
here=$(cd "$(dirname "$0")" && pwd)
build=${MLXE_FUZZ_BUILD:-$here/../../build/fuzz}
# The folder fuzzer writes small files for each input: in memory where that is possible.
if [[ -z ${TMPDIR:-} && -w /dev/shm ]]; then export TMPDIR=/dev/shm; fi
mkdir -p "$build/found" "$build/crashes" "$build/logs"

run_one() {
  local name=$1 status=0 dictionary=()
  if [[ -f $here/$name.dict ]]; then dictionary=("-dict=$here/$name.dict"); fi
  mkdir -p "$build/found/$name"
  "$build/tests/fuzz/${name}_fuzzer" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=16384 \
    -artifact_prefix="$build/crashes/$name-" -print_final_stats=1 \
    ${dictionary[@]+"${dictionary[@]}"} "$build/found/$name" "$here/corpus/$name" > "$build/logs/$name.log" 2>&1 || status=$?
  if [[ $status -ne 0 ]]; then
    echo "$name: FAILED (status $status), see $build/logs/$name.log and $build/crashes/"
    grep -E "ERROR|runtime error|SUMMARY" "$build/logs/$name.log" | head -5
    return 1
  fi
  echo "$name: $(grep -oP 'number_of_executed_units: \K.*' "$build/logs/$name.log") inputs in $seconds s, no crash"
}

failed=0
pids=()
for corpus in "$here"/corpus/*/; do
  run_one "$(basename "$corpus")" &
  pids+=($!)
  if [[ ${#pids[@]} -eq 2 ]]; then
    for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
    pids=()
  fi
done
for pid in ${pids[@]+"${pids[@]}"}; do wait "$pid" || failed=1; done
exit "$failed"
