"""Converts mutated weight files and checks that each gives a model or one sentence: no crash, no hang, nothing left behind.

    python3 tools/check_mutated_weights.py --program build/release/mlx-encoder [--count 1000] [--seed 1]
        [--keep FOLDER]     write the files that show a fault there

--count files of each kind (.bin, ONNX, GGUF) are made from small ones in tests/data. The exit status has to be 0 or one that
docs/exit-status.md gives to a bad file, within 20 s. With 0, standard error has notes and warnings alone, and the folder passes
`verify`. Otherwise standard error has one line more, which begins with `mlx-encoder: `, and there is no output. In both cases
no other file is left, in the temporary folder neither. Prints the number of files by kind and status; exit status 1 on a fault.
"""

import argparse
import collections
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

DATA = pathlib.Path(__file__).resolve().parent.parent / "tests/data"
BAD_FILE = {4, 5, 6, 7, 8}
SECONDS = 20
# Of each kind: folder in tests/data/tiny, the weights that it has there, the file in tests/data, and the file's place in the folder.
SAMPLES = {
    ".bin": [
        ("bert_mlm", "model.safetensors", "torch/bert_mlm.bin", "pytorch_model.bin"),  # a zip archive
        ("st_dense", "2_Dense/model.safetensors", "torch/dense.bin", "2_Dense/pytorch_model.bin"),  # the legacy form
    ],
    "ONNX": [
        (name, "model.safetensors", f"onnx/{file}.onnx", f"{file}.onnx")
        for name, file in [("bert", "bert"), ("bert", "bert_half"), ("bert", "bert_external"), ("bert", "bert_channels"),
                           ("bert", "bert_qdq"), ("bert", "bert_q4"), ("bert", "bert_q4_symmetric"), ("bert", "bert_q8"),
                           ("mpnet", "mpnet"), ("modernbert", "modernbert")]
    ],
    "GGUF": [
        (None, None, f"gguf/{name}.gguf", f"{name}.gguf")
        for name in ["bert", "roberta", "roberta_rank", "xlm_roberta", "nomic_bert", "modern_bert", "jina_bert", "qwen3"]
    ],
}


# ---- mutations of bytes; each gives other bytes, or the same by chance

def place(chance, data):
    """Half of the places are within 4 KB of an end, where headers and directories are."""
    if chance.random() < 0.5:
        return chance.randrange(len(data))
    near = chance.randrange(min(4096, len(data)))
    return near if chance.random() < 0.5 else len(data) - 1 - near


def span(chance, data):
    begin = place(chance, data)
    return begin, min(len(data), begin + chance.choice([1, 2, 4, 8, 16, 64, 256, 4096]))


def change_bytes(chance, data):
    data = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 8])):
        data[place(chance, data)] = chance.randrange(256)
    return bytes(data)


def cut(chance, data):
    return data[: place(chance, data)]


def overwrite(chance, data):
    begin, end = span(chance, data)
    fill = chance.choice([bytes(end - begin), b"\xff" * (end - begin), chance.randbytes(end - begin)])
    return data[:begin] + fill + data[end:]


def remove(chance, data):
    begin, end = span(chance, data)
    return data[:begin] + data[end:]


def double(chance, data):
    begin, end = span(chance, data)
    return data[:end] + data[begin:]


def change_length(chance, data):
    """An integer that may be a length, a count or an offset becomes another one."""
    for _ in range(1000):
        size, at = chance.choice([1, 2, 4, 8]), place(chance, data)
        value = int.from_bytes(data[at : at + size], "little")
        if at + size <= len(data) and 0 < value <= len(data):
            break
    value = chance.choice([0, value - 1, value + 1, 2 * value, len(data), 2 ** (8 * size - 1), 2 ** (8 * size) - 1])
    return data[:at] + (value % 2 ** (8 * size)).to_bytes(size, "little") + data[at + size :]


MUTATIONS = [change_bytes, cut, overwrite, remove, double, change_length]


# ---- one conversion

def make_model(sample, data, into):
    """Writes the sample's folder with these bytes as its weights. Returns what `convert` is given."""
    folder, own_weights, file, at = sample
    if folder is None:
        into.mkdir()
    else:
        shutil.copytree(DATA / "tiny" / folder, into)
        (into / own_weights).unlink()
    for extra in (DATA / file).parent.glob(f"{pathlib.Path(file).name}_data"):  # external data of an ONNX export
        shutil.copy(extra, into)
    (into / at).write_bytes(data)
    return into / at if at.endswith((".onnx", ".gguf")) else into


def run(scratch, *command):
    environment = dict(os.environ, TMPDIR=str(scratch / "tmp"), HF_HUB_OFFLINE="1")
    return subprocess.run(command, cwd=scratch, env=environment, capture_output=True, timeout=SECONDS)


def convert(program, sample, data):
    """The exit status and the faults of a conversion."""
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        (scratch / "tmp").mkdir()
        model = make_model(sample, data, scratch / "model")
        before = set(scratch.rglob("*"))
        try:
            done = run(scratch, program, "convert", model, "--mlx-path", "out", "--dtype", "float32")
        except subprocess.TimeoutExpired:
            return "none", [f"still running after {SECONDS} s"]
        faults = []
        if done.returncode not in {0} | BAD_FILE:
            faults.append(f"status {done.returncode}")
        lines = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if not line.startswith(("note: ", "warning: "))]
        if len(lines) != (done.returncode != 0) or not all(line.startswith("mlx-encoder: ") for line in lines):
            faults.append(f"status {done.returncode}, standard error: {lines}")
        left = [path for path in scratch.rglob("*") if path not in before]
        if done.returncode == 0:
            left = [path for path in left if "out" not in path.relative_to(scratch).parts]
            verified = run(scratch, program, "verify", "out")
            if verified.returncode:
                faults.append(f"verify: status {verified.returncode}: {verified.stderr.decode(errors='replace').strip()}")
        if left:
            faults.append(f"left behind: {[str(path.relative_to(scratch)) for path in left]}")
        return done.returncode, faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, required=True)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=pathlib.Path)
    arguments = parser.parse_args()
    program = arguments.program.resolve()
    for sample in [sample for samples in SAMPLES.values() for sample in samples]:
        status, faults = convert(program, sample, (DATA / sample[2]).read_bytes())
        if status or faults:
            raise SystemExit(f"{sample[2]}, as it is: status {status}, {faults}; expected a model")

    def mutated(kind, i):
        chance = random.Random(f"{arguments.seed} {kind} {i}")
        sample, mutation = SAMPLES[kind][i % len(SAMPLES[kind])], chance.choice(MUTATIONS)
        data = mutation(chance, (DATA / sample[2]).read_bytes())
        status, faults = convert(program, sample, data)
        if faults and arguments.keep:
            arguments.keep.mkdir(parents=True, exist_ok=True)
            (arguments.keep / f"{i}-{pathlib.Path(sample[2]).name}").write_bytes(data)
        return kind, status, [f"{kind} {i}, {sample[2]}, {mutation.__name__}: {fault}" for fault in faults]

    counts, faults = collections.Counter(), []
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(mutated, kind, i) for kind in SAMPLES for i in range(arguments.count)]
        for kind, status, found in (job.result() for job in jobs):
            counts[kind, status] += 1
            faults += found
    statuses = sorted({status for _, status in counts}, key=str)
    print("| kind | " + " | ".join(f"status {status}" for status in statuses) + " |")
    print("|---|" + "---|" * len(statuses))
    for kind in SAMPLES:
        print(f"| {kind} | " + " | ".join(str(counts[kind, status]) for status in statuses) + " |")
    print(f"{len(faults)} faults", *faults, sep="\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
