#!/usr/bin/env bash
# The demo: the real all-MiniLM-L6-v2 to 8 and 4 bits, embedded, compared with the original, a report to open.
# It reports; it does not fail on a gate. Usage: demo.sh PROGRAM MINILM_FOLDER
set -euo pipefail
program=$1 original=$2
mkdir -p models reports
[ -d models/all-MiniLM-L6-v2 ] || ln -sfn "$(cd "$original" && pwd)" models/all-MiniLM-L6-v2  # for examples/matrix.toml
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }

say "Converting all-MiniLM-L6-v2 to 8 bits"
"$program" convert "$original" --mlx-path models/minilm-8bit -q
say "Converting it to 4 bits, calibrated: half a minute"
"$program" convert "$original" --mlx-path models/minilm-4bit -q --q-bits 4

say "Similarities of a handful of sentences, 8 bits"
"$program" similarity models/minilm-8bit \
  "A man is playing a guitar on stage." "Someone performs music for an audience." \
  "The recipe needs two cups of flour." "How do I bake bread?" "Shares fell sharply on Monday."

cat > reports/demo-texts.txt << 'TEXTS'
A man is playing a guitar on stage.
Someone performs music for an audience.
The recipe needs two cups of flour.
How do I bake bread?
Shares fell sharply on Monday.
The central bank left interest rates unchanged.
Two dogs chase a ball through wet grass.
The train to the coast leaves at a quarter past nine.
Quantization stores a weight as a small integer and a scale.
She finished the marathon in just under four hours.
Heavy rain is expected in the north until Thursday evening.
The museum is closed on Mondays, except on public holidays.
TEXTS
for bits in 8 4; do
  say "Comparing the original with $bits bits"
  "$program" compare "$original" "models/minilm-${bits}bit" --texts reports/demo-texts.txt \
    --report "reports/minilm-${bits}bit.html" --update-card
done
say "Done. Open reports/minilm-8bit.html and reports/minilm-4bit.html"
