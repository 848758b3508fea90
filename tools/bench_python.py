"""`encode` of mlx_encoder beside sentence-transformers (torch) and fastembed (onnxruntime): the same model, the same texts.

    python tools/bench_python.py MODEL TEXTS [--rounds 5] [--limit 2000] [--threads 0]

MODEL: a folder with the float32 weights of a model that fastembed knows, such as all-MiniLM-L6-v2. TEXTS: a .tsv file with a column
`text` (AG News). Every engine has a process of its own; they take turns, in another order each round, one at a time. Prints Markdown:
texts a second (median and best round), peak memory of the process, mean cosine with sentence-transformers' vectors. Then the time that
the Python package adds to a text: a call of `encode` without texts passes through all of it and leaves the model out.

Needs an environment with the wheel, sentence-transformers, torch, fastembed and onnx.
"""

import argparse
import csv
import gc
import json
import os
import pathlib
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["HF_HUB_OFFLINE"] = "1"

REFERENCE = "sentence-transformers (torch, float32)"
FASTEMBED_NAME = "sentence-transformers/all-MiniLM-L6-v2"


# ---- engines: name -> function(model, prepared, threads) -> encode(texts)

def sentence_transformers(model, prepared, threads):
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    network = SentenceTransformer(model, device="cpu")
    return lambda texts: network.encode(texts, batch_size=32, show_progress_bar=False)


def fastembed(model, prepared, threads):
    import numpy as np
    from fastembed import TextEmbedding

    network = TextEmbedding(FASTEMBED_NAME, specific_model_path=str(pathlib.Path(prepared) / "onnx"), threads=threads)
    return lambda texts: np.stack(list(network.embed(texts, batch_size=32)))


def ours(folder, **options):
    def load(model, prepared, threads):
        from mlx_encoder import Encoder

        encoder = Encoder(pathlib.Path(prepared) / folder if folder else model, threads=threads, **options)
        return lambda texts: encoder.encode(texts)
    return load


ENGINES = {
    REFERENCE: sentence_transformers,
    "fastembed (onnxruntime, float32)": fastembed,
    "mlx_encoder, original weights": ours(""),
    "mlx_encoder, 8 bits": ours("8bit"),
    "mlx_encoder, 4 bits": ours("4bit"),
}


def prepare(model, prepared):
    """The files the engines read: 8 and 4 bits, and an ONNX export with its tokenizer."""
    import shutil

    from mlx_encoder import convert
    from peer_engines import export_onnx

    convert(model, prepared / "8bit", quantize=True)
    convert(model, prepared / "4bit", quantize=True, q_bits=4)
    onnx = prepared / "onnx"
    onnx.mkdir()
    export_onnx(model, onnx / "model.onnx")
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "config.json"):
        shutil.copy(pathlib.Path(model) / name, onnx / name)


def worker(arguments):
    """Encodes all texts each time a line comes; answers with the seconds."""
    texts = json.loads(pathlib.Path(arguments.texts).read_text())
    encode = ENGINES[arguments.worker](arguments.model, arguments.prepared, arguments.threads)
    encode(texts[:64])
    print(json.dumps({"ready": True}), flush=True)
    vectors = None
    for line in sys.stdin:
        if line.strip() == "end":
            break
        gc.collect()
        begin = time.perf_counter()
        vectors = encode(texts)
        seconds = time.perf_counter() - begin
        print(json.dumps({"seconds": seconds, "peak_mb": peak_mb()}), flush=True)
    if vectors is not None:
        import numpy as np

        np.save(arguments.out, np.asarray(vectors, np.float32))


def peak_mb():
    """Of this process. getrusage() would count the process that started it, too."""
    status = pathlib.Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) * 1024 / 1e6


class Engine:
    def __init__(self, name, arguments, prepared, texts):
        self.name, self.rounds, self.peak_mb = name, [], 0.0
        self.out = prepared / f"{list(ENGINES).index(name)}.npy"
        self.process = subprocess.Popen(
            [sys.executable, __file__, arguments.model, str(texts), "--worker", name, "--prepared", str(prepared), "--out", str(self.out),
             "--threads", str(arguments.threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name}: {self.process.stderr.read().strip()[-2000:]}")
        return json.loads(line)

    def round(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        answer = self.answer()
        self.rounds.append(answer["seconds"])
        self.peak_mb = answer["peak_mb"]

    def end(self):
        self.process.communicate("end\n")


def added_microseconds(model, calls=20_000):
    """Median time of a call of encode() for no text, in microseconds: all that Python and the binding do for one text, and more."""
    from mlx_encoder import Encoder

    encoder = Encoder(model)
    encoder.encode("warm")
    times = []
    for _ in range(calls):
        begin = time.perf_counter_ns()
        encoder.encode([])
        times.append(time.perf_counter_ns() - begin)
    return statistics.median(times) / 1e3, sorted(times)[int(0.99 * calls)] / 1e3


def cpu_name():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return "unknown processor"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("texts")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    for hidden in ("--worker", "--prepared", "--out"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments)
        return

    import numpy as np

    with open(arguments.texts, encoding="utf-8") as file:
        texts = [row["text"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    texts = texts[:: max(1, len(texts) // arguments.limit)][: arguments.limit]
    with tempfile.TemporaryDirectory() as folder:
        prepared = pathlib.Path(folder)
        (prepared / "texts.json").write_text(json.dumps(texts))
        prepare(arguments.model, prepared)
        engines = [Engine(name, arguments, prepared, prepared / "texts.json") for name in ENGINES]
        order = random.Random(1)
        for _ in range(arguments.rounds):
            order.shuffle(engines)
            for engine in engines:
                engine.round()
        for engine in engines:
            engine.end()
        engines.sort(key=lambda engine: list(ENGINES).index(engine.name))
        print(f"{cpu_name()}, {arguments.threads} threads, {len(texts)} texts, {arguments.rounds} rounds in turn, load at the end "
              f"{os.getloadavg()[0]:.1f}\n")
        print("| engine | texts/s, median | best | x of torch | peak MB | cosine |\n|---|---:|---:|---:|---:|---:|")
        reference = np.load(engines[0].out).astype(np.float64)
        torch_time = statistics.median(engines[0].rounds)
        for engine in engines:
            vectors = np.load(engine.out).astype(np.float64)
            cosine = (vectors * reference).sum(1) / np.linalg.norm(vectors, axis=1) / np.linalg.norm(reference, axis=1)
            median = statistics.median(engine.rounds)
            print(f"| {engine.name} | {len(texts) / median:.0f} | {len(texts) / min(engine.rounds):.0f} | {torch_time / median:.2f} "
                  f"| {engine.peak_mb:.0f} | {cosine.mean():.6f} |")
    middle, slow = added_microseconds(arguments.model)
    print(f"\nA call without texts, all that the package adds to a text: median {middle:.1f} microseconds, 99th percentile {slow:.1f}")


if __name__ == "__main__":
    main()
