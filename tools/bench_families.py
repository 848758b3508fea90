"""Families of base size beside ONNX Runtime and OpenVINO with 8 bits: milliseconds for 32 texts of 128 tokens, int8 activations.

    python tools/bench_families.py prepare PROGRAM MODELS FAMILY...     conversions to 8 bits, exports; slow, on any machine
    python tools/bench_families.py time PROGRAM MODELS FAMILY... [--rounds 5] [--shape 32x128] [--threads 2]    on an idle one

MODELS/FAMILY: folders of make_random_encoder.py. Engines of a family take turns within a round, in another order each round. Prints
Markdown: median and least time of each, the factor to the faster peer, and for us percent of the multiply peak. A peer that
cannot run a family is named with its reason.

Needs an environment with torch, transformers, onnx, onnxruntime, openvino and nncf.
"""

import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys

PEERS = {"onnxruntime int8": "int8.onnx", "OpenVINO int8": "int8.xml"}
OURS = "mlx-encoder"
TOOL = pathlib.Path(__file__).parent / "peer_engines.py"


def last_json(command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    try:
        return json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        return {"missing": (done.stderr.strip().splitlines() or ["no message"])[-1]}


def quantized(models, family):
    return models / f"{family}-8bit"


def prepare(arguments):
    for family in arguments.families:
        if not quantized(arguments.models, family).exists():
            subprocess.run([arguments.program, "convert", arguments.models / family, "-q", "--mlx-path", quantized(arguments.models, family)],
                           check=True, stdout=subprocess.DEVNULL)
        answer = last_json([sys.executable, TOOL, "prepare", arguments.models, family, "--files", "float.onnx", *PEERS.values()])
        for problem in answer.get("missing", []):
            print(f"{family}: {problem['file']}: {problem['reason']}", flush=True)
        print(f"{family}: ready", flush=True)


def ours(arguments, family):
    command = [arguments.program, "bench", quantized(arguments.models, family), "--shapes", arguments.shape, "--threads",
               arguments.threads, "--engine", "cpu", "--activations", "int8", "--seconds", "2", "--json"]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)["results"][0]
    return {"p50_ms": result["p50_ms"], "min_ms": result["min_ms"], "peak": 100 * result["share_of_peak"]}


def peer(arguments, family, engine):
    answer = last_json([sys.executable, TOOL, "time", engine, family, arguments.models, "--threads", arguments.threads, "--shapes",
                        arguments.shape, "--seconds", "2", "--least", "2"])
    return answer if "missing" in answer else answer["results"][0]


def time_families(arguments):
    order = random.Random(1)
    print(f"{cpu_name()}, {arguments.threads} threads, {arguments.shape}, {arguments.rounds} rounds in turn\n")
    print("| family | engine | median ms | least ms | x of the best peer | percent of the peak |\n|---|---|---:|---:|---:|---:|")
    for family in arguments.families:
        engines, results, missing = [OURS, *PEERS], {}, {}
        for _ in range(arguments.rounds):
            order.shuffle(engines)
            for engine in engines:
                if engine in missing:
                    continue
                answer = ours(arguments, family) if engine == OURS else peer(arguments, family, engine)
                if "missing" in answer:
                    missing[engine] = answer["missing"]
                else:
                    results.setdefault(engine, []).append(answer)
        least = {engine: min(r["min_ms"] for r in rounds) for engine, rounds in results.items()}
        best = min((ms for engine, ms in least.items() if engine != OURS), default=None)
        for engine in [OURS, *PEERS]:
            if engine in missing:
                print(f"| {family} | {engine} | cannot run it: {missing[engine]} | | | |")
                continue
            median = statistics.median(r["p50_ms"] for r in results[engine])
            factor = f"{best / least[engine]:.2f}" if engine == OURS and best else ""
            peaks = [r["peak"] for r in results[engine] if r.get("peak") is not None]
            peak = f"{max(peaks):.0f}" if peaks else ""
            print(f"| {family} | {engine} | {median:.0f} | {least[engine]:.0f} | {factor} | {peak} |", flush=True)
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")


def cpu_name():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown processor")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("prepare", "time"))
    parser.add_argument("program")
    parser.add_argument("models", type=pathlib.Path)
    parser.add_argument("families", nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--shape", default="32x128")
    arguments = parser.parse_args()
    prepare(arguments) if arguments.command == "prepare" else time_families(arguments)


if __name__ == "__main__":
    main()
