"""What calibration at 4 bits gains on whole models: 1 - cosine with the original, calibrated and rounded to nearest.

    python tools/measure_calibration.py PROGRAM TEXTS MODEL... [--limit 200] [--threads 0]

TEXTS: a file of texts that are not those of calibration (shared STS-B test). MODEL: folders, such as those of
make_random_encoder.py. The gain is that of the built-in calibration text, the program's default. Time and peak memory are those of
the calibrating conversion; a busy machine makes the first useless.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def run(command):
    """Seconds and peak memory in MB of a command."""
    begin = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(command)}: status {os.waitstatus_to_exitcode(status)}: {said.strip()}")
    return time.monotonic() - begin, usage.ru_maxrss / 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("texts")
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    print("| model | rounded | calibrated | ratio of 1 - cosine | seconds | MB at most |")
    print("|---|---:|---:|---:|---:|---:|", flush=True)
    for model in arguments.models:
        with tempfile.TemporaryDirectory() as place:
            cosines, seconds, megabytes = [], 0.0, 0.0
            for how in ("none", "default"):
                out = f"{place}/{how}"
                convert = [arguments.program, "convert", str(model), "-q", "--q-bits", "4", "--calibrate", how, "--mlx-path", out,
                           "--threads", str(arguments.threads)]
                seconds, megabytes = run(convert)
                compare = [arguments.program, "compare", str(model), out, "--texts", arguments.texts, "--limit", str(arguments.limit),
                           "--no-speed", "--json"]
                done = subprocess.run(compare, capture_output=True, text=True)
                if done.returncode not in (0, 3):
                    sys.exit(f"{' '.join(compare)}: {done.stderr.strip()}")
                cosines.append(mean_cosine(json.loads(done.stdout)))
        ratio = (1 - cosines[1]) / (1 - cosines[0])
        print(f"| {model.name} | {cosines[0]:.5f} | {cosines[1]:.5f} | {ratio:.3f} | {seconds:.0f} | {megabytes:.0f} |", flush=True)


def mean_cosine(comparison):
    return comparison["output"]["cosine"]["mean"]


if __name__ == "__main__":
    main()
