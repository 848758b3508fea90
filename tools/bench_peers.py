"""mlx-encoder against what a user would pick instead, in one session: writes docs/benchmarks.json and docs/benchmarks.md.

    python tools/bench_peers.py PROGRAM MODELS [--data FOLDER] [--out docs] [--quick]

MODELS is what tools/bench_models.sh made; tools/peer_engines.py runs the other engines, in the Python that runs this. Every
engine gets a process of its own, in random order, in rounds; what is reported is the median of the rounds' medians.
"""

import argparse
import csv
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from bench_report import markdown
from peer_engines import ENGINES, MODELS, NOTES

HERE = pathlib.Path(__file__).parent
SHAPES = ["1x16", "1x128", "8x32", "32x128"]
OURS = {"mlx-encoder 8-bit": ["8bit", "--activations", "int8"],
        "mlx-encoder 4-bit": ["4bit", "--activations", "int8"],
        "mlx-encoder 8-bit, bf16 activations": ["8bit", "--activations", "bf16"],
        "mlx-encoder 4-bit, bf16 activations": ["4bit", "--activations", "bf16"],
        "mlx-encoder 8-bit, first token": ["8bit", "--activations", "int8", "--first-token"],
        "mlx-encoder 8-bit, f32 activations": ["8bit", "--activations", "f32"]}
# More rounds for those that compete for the best time. The rest would take most of the session for little: one round, and
# the slowest of them with two threads only.
CLOSE = ["mlx-encoder 8-bit", "mlx-encoder 4-bit", "mlx-encoder 8-bit, bf16 activations", "onnxruntime int8", "onnxruntime int8, fused", "OpenVINO int8",
         "OpenVINO bf16", "CTranslate2 int8"]
TWO_THREADS_ONLY = ["mlx-encoder 8-bit, f32 activations", "mlx-encoder 8-bit, first token", "torch int8 dynamic", "llama.cpp Q8_0"]
ROUNDS = {2: 2, 1: 1}  # threads -> rounds of the close ones
CORPUS_ENGINES = ["mlx-encoder 8-bit", "mlx-encoder 8-bit, bf16 activations", "onnxruntime int8", "OpenVINO int8", "OpenVINO bf16"]
CORPUS_ROUNDS, CORPUS_THREADS, REFERENCE = 2, 2, "torch fp32"
AG_NEWS_TEXTS = 1500
PATIENCE = 600  # seconds, for one process
PACKAGES = ["torch", "transformers", "onnx", "onnxruntime", "openvino", "nncf", "ctranslate2", "llama-cpp-python", "numpy"]
FLAGS = ["avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimddp", "i8mm"]


def last_json(command, **environment):
    try:
        done = subprocess.run([str(c) for c in command], env={**os.environ, **environment}, capture_output=True, text=True,
                              timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return {"missing": f"not done after {PATIENCE} s"}
    start = done.stdout.rfind("\n{") + 1 if not done.stdout.startswith("{") else 0
    try:
        return json.loads(done.stdout[start:])
    except json.JSONDecodeError:
        last = (done.stderr.strip().splitlines() or ["nothing printed"])[-1]
        return {"missing": f"ended with status {done.returncode}: {last[:160]}"}


def threads_environment(threads):
    return {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "RAYON_NUM_THREADS": str(threads)}


class Session:
    def __init__(self, arguments):
        self.program, self.models, self.quick = arguments.program, arguments.models, arguments.quick
        self.seconds = 0.1 if arguments.quick else 0.5
        self.random = random.Random(arguments.seed)
        self.missing = {}

    def peer(self, command, engine, model, threads, *more):
        return last_json([sys.executable, HERE / "peer_engines.py", command, engine, model, self.models, "--threads", threads,
                          "--started", time.time(), *more], **threads_environment(threads))

    def time_once(self, engine, model, threads):
        shapes = self.random.sample(SHAPES, len(SHAPES))
        if engine not in OURS:
            return self.peer("time", engine, model, threads, "--shapes", ",".join(shapes), "--seconds", self.seconds,
                             "--least", 1 if self.quick else 3)
        suffix, *options = OURS[engine]
        r = last_json([self.program, "bench", self.models / f"{model}-{suffix}", "--shapes", ",".join(shapes), "--threads",
                       threads, *options, "--seconds", self.seconds, "--engine", "cpu", "--json"])
        if "results" not in r:
            raise SystemExit(f"{engine}: {r.get('error', r)}")
        return {"results": r["results"], "peak_bytes": max(x["peak_bytes"] for x in r["results"]),
                "cold_start_ms": statistics.median(x["cold_start_ms"] for x in r["results"])}

    def shapes(self):
        tasks = []
        for threads, rounds in ROUNDS.items():
            for engine in [*OURS, *ENGINES]:
                if threads == 1 and engine in TWO_THREADS_ONLY:
                    continue
                for model in MODELS:
                    tasks += [(engine, model, threads)] * (rounds if engine in CLOSE and not self.quick else 1)
        self.random.shuffle(tasks)
        gathered = {}
        for i, (engine, model, threads) in enumerate(tasks):
            if engine in self.missing:
                continue
            begin = time.time()
            r = self.time_once(engine, model, threads)
            print(f"{i + 1}/{len(tasks)} {engine}, {model}, threads {threads}: {time.time() - begin:.1f} s", file=sys.stderr)
            if "missing" in r:
                self.missing[engine] = r["missing"]
                continue
            for x in r["results"]:
                row = gathered.setdefault((engine, model, threads, x["shape"]), {"p50": [], "min": [], "peak": [], "cold": [],
                                                                                "variant": x.get("variant")})
                for key, value in (("p50", x["p50_ms"]), ("min", x["min_ms"]), ("peak", r["peak_bytes"]),
                                   ("cold", r["cold_start_ms"])):
                    row[key].append(value)
        results = []
        order = [*OURS, *ENGINES]
        for (engine, model, threads, shape), row in sorted(gathered.items(), key=lambda x: (x[0][1:3], order.index(x[0][0]))):
            texts, tokens = map(int, shape.split("x"))
            p50 = statistics.median(row["p50"])
            results.append({"engine": engine, "model": model, "threads": threads, "shape": shape, "variant": row["variant"],
                            "p50_ms": p50, "min_ms": min(row["min"]), "rounds_ms": row["p50"],
                            "tokens_per_s": 1000 * texts * tokens / p50,
                            "peak_bytes": max(row["peak"]), "cold_start_ms": statistics.median(row["cold"])})
        return results

    def corpus_once(self, engine, texts, out):
        seconds = 0.1 if self.quick else 4
        if engine not in OURS:
            return self.peer("corpus", engine, "MiniLM", CORPUS_THREADS, "--texts", texts, "--seconds", seconds, "--out", out)
        suffix, *options = OURS[engine]
        folder = self.models / f"MiniLM-{suffix}"
        where = ["--engine", "cpu", "--threads", CORPUS_THREADS, *options, "--json"]
        # `measure` times as many texts as it can afford; this much is enough for all of them.
        r = last_json([self.program, "measure", folder, "--texts", texts, "--input-format", "jsonl", "--seconds", 8, *where,
                       "--max-length", 256])
        if "throughput" not in r:
            raise SystemExit(f"{engine}: {r.get('error', r)}")
        last_json([self.program, "embed", folder, "--input", texts, "-o", out, *where, "--max-length", 256])
        return {"texts_per_s": r["throughput"]["texts_per_second"], "texts": r["throughput"]["texts"]}

    def corpora(self, data):
        results = []
        for name, texts in corpus_texts(data).items():
            if self.quick:
                texts = texts[:200]
            with tempfile.TemporaryDirectory() as folder:
                file = pathlib.Path(folder) / "texts.jsonl"
                file.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
                out = pathlib.Path(folder) / "vectors.npy"
                tokens, reference = None, None
                if "missing" not in (r := self.corpus_once(REFERENCE, file, out)):
                    tokens, reference = r["tokens"], np.load(out)
                    results.append({"corpus": name, "engine": REFERENCE, "texts_per_s": r["texts_per_s"],
                                    "rounds": [r["texts_per_s"]], "cosine": 1.0, "texts": len(texts), "tokens": tokens})
                tasks = [e for e in CORPUS_ENGINES if e not in self.missing] * (1 if self.quick else CORPUS_ROUNDS)
                self.random.shuffle(tasks)
                rates, cosines = {}, {}
                for engine in tasks:
                    begin = time.time()
                    out.unlink(missing_ok=True)
                    r = self.corpus_once(engine, file, out)
                    print(f"{name}, {engine}: {time.time() - begin:.1f} s", file=sys.stderr)
                    if "missing" in r:
                        self.missing.setdefault(engine, r["missing"])
                        continue
                    if r["texts"] != len(texts):
                        print(f"{engine} timed {r['texts']} of {len(texts)} texts, evenly spread", file=sys.stderr)
                    rates.setdefault(engine, []).append(r["texts_per_s"])
                    if reference is not None:
                        vectors = np.load(out).astype(np.float64)
                        norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(reference, axis=1)
                        cosines[engine] = float(np.mean((vectors * reference).sum(1) / norms))
                for engine, all_rates in rates.items():
                    results.append({"corpus": name, "engine": engine, "texts_per_s": statistics.median(all_rates),
                                    "rounds": all_rates, "cosine": cosines.get(engine), "texts": len(texts), "tokens": tokens})
        return results


def corpus_texts(data):
    def rows(file):
        with open(data / file, encoding="utf-8") as f:
            return list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))

    pairs = rows("stsb-test.tsv")
    news = rows("ag_news-test.tsv")
    step = max(1, len(news) // AG_NEWS_TEXTS)
    return {"STS-B": [r["text"] for r in pairs] + [r["text_pair"] for r in pairs],
            "AG News": [r["text"] for r in news[::step]][:AG_NEWS_TEXTS]}


def ratios(results):
    """Of the best peer's time to ours, for each of ours, model, shape and number of threads."""
    found = []
    for threads in ROUNDS:
        for model in MODELS:
            for shape in SHAPES:
                here = [r for r in results if (r["threads"], r["model"], r["shape"]) == (threads, model, shape)]
                peers = [r for r in here if r["engine"] not in OURS]
                if not peers:
                    continue
                best = min(peers, key=lambda r: r["p50_ms"])
                torch = next((r["p50_ms"] for r in peers if r["engine"] == REFERENCE), None)
                found += [{"engine": r["engine"], "model": model, "shape": shape, "threads": threads, "best_peer": best["engine"],
                           "best_peer_ms": best["p50_ms"], "p50_ms": r["p50_ms"], "ratio": best["p50_ms"] / r["p50_ms"],
                           "ratio_to_torch_fp32": torch and torch / r["p50_ms"]} for r in here if r["engine"] in OURS]
    return found


def versions(program):
    found = {"mlx-encoder": subprocess.run([program, "--version"], capture_output=True, text=True).stdout.split()[-1]}
    found["python"] = platform.python_version()
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def machine(program):
    cpu = pathlib.Path("/proc/cpuinfo")
    words = set(cpu.read_text().split()) if cpu.exists() else set()
    doctor = last_json([program, "doctor", "--json"]).get("cpu", {})
    name = next((line.split(": ", 1)[1] for line in cpu.read_text().splitlines() if line.startswith("model name")),
                platform.processor()) if cpu.exists() else platform.processor()
    return {"processor": name, "cores": os.cpu_count(), "flags": [f for f in FLAGS if f in words],
            "system": f"{platform.system()} {platform.machine()}", "variant": doctor.get("variant_chosen"),
            "peak_gflops_float32": doctor.get("peak_gflops_float32"), "load_at_start": os.getloadavg()[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("models", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../shared/data"),
                        help="where stsb-test.tsv and ag_news-test.tsv are; without them no texts are timed")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("docs"))
    parser.add_argument("--seed", type=int, default=1, help="of the order")
    parser.add_argument("--quick", action="store_true", help="one short round, to see that everything works")
    arguments = parser.parse_args()
    begin = time.time()
    session = Session(arguments)
    where = machine(arguments.program)
    prepared = last_json([sys.executable, HERE / "peer_engines.py", "prepare", arguments.models])
    unprepared = prepared.get("missing", [])
    results = session.shapes()
    corpora = session.corpora(arguments.data) if arguments.data.exists() else []
    for engine, why in session.missing.items():  # a package or file that is not there: the cause is what preparing it said
        file = {"llama.cpp Q8_0": "q8_0.gguf", "onnxruntime int8, fused": "fused_int8.onnx"}.get(engine)
        session.missing[engine] = next((p["reason"] for p in unprepared if p["file"] == file), why)
    report = {"date": datetime.date.today().isoformat(), "command": "make bench-peers", "seconds": round(time.time() - begin),
              "seed": arguments.seed, "quick": arguments.quick, "machine": where, "versions": versions(arguments.program),
              "missing": session.missing, "notes": NOTES, "two_threads_only": TWO_THREADS_ONLY, "results": results,
              "ratios": ratios(results), "corpora": corpora}
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "benchmarks.json").write_text(json.dumps(report, indent=1) + "\n")
    (arguments.out / "benchmarks.md").write_text(markdown(report))
    print(f"{arguments.out / 'benchmarks.md'} after {report['seconds']} s")


if __name__ == "__main__":
    main()
