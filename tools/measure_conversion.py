"""Measures the memory and the time that converting a large `.bin` model takes, beside a bound and the time of reading its files.

    python tools/measure_conversion.py PROGRAM [--runs 3] [--scratch FOLDER]

Makes an XLM-RoBERTa large of random float32 weights (2.24 GB, the tokenizer of tests/data/tiny/xlm_roberta) in two shards
of pytorch_model.bin, and converts it at 8 bits and as float16. Prints for each conversion the peak of resident memory, mapped
pages of files included, and the time of each run, its files read from the disk. Then the time of reading the files alone,
and of writing as many bytes as each conversion. Exit status 1 if a peak is above 1.2 times the largest tensor plus 150 MB.
Times are comparable on an idle machine only. Needs Linux, and 6 GB of disk in the scratch folder.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

TINY = pathlib.Path(__file__).resolve().parent.parent / "tests/data/tiny/xlm_roberta"
CONVERSIONS = {"8 bits": ["-q"], "float16": []}


def make_model(folder: pathlib.Path) -> int:
    """Writes the model. Returns the bytes of its largest tensor."""
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaModel

    config = XLMRobertaConfig(vocab_size=250002, hidden_size=1024, num_hidden_layers=24, num_attention_heads=16,
                              intermediate_size=4096, max_position_embeddings=514, type_vocab_size=1)
    torch.manual_seed(1)
    state = XLMRobertaModel(config).state_dict()
    folder.mkdir()
    config.save_pretrained(folder)
    for file in TINY.glob("*token*.json"):
        shutil.copy(file, folder)
    names = [name for name in state if not name.endswith("position_ids")]
    first = names.index("encoder.layer.8.attention.self.query.weight")
    weight_map = {}
    for number, part in enumerate((names[:first], names[first:]), 1):
        file = f"pytorch_model-{number:05}-of-00002.bin"
        torch.save({name: state[name] for name in part}, folder / file)
        weight_map |= dict.fromkeys(part, file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return max(state[name].nbytes for name in names)


def drop_from_cache(folder: pathlib.Path) -> None:
    """The next read of these files is one of the disk; raises if their pages stay in memory."""
    os.sync()
    for file in folder.iterdir():
        with file.open("rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            try:
                os.preadv(opened.fileno(), [bytearray(1)], file.stat().st_size // 2, os.RWF_NOWAIT)
            except BlockingIOError:
                continue
            raise SystemExit(f"{file}: its pages stay in the page cache; choose another --scratch FOLDER")


def run(command: list) -> tuple[float, int]:
    """Seconds, and the peak of resident memory in bytes."""
    began = time.monotonic()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command}: status {os.waitstatus_to_exitcode(status)}")
    return time.monotonic() - began, usage.ru_maxrss * 1024


def shown(seconds: list[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in seconds) + " s"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--scratch", type=pathlib.Path)
    arguments = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        model, out = pathlib.Path(scratch) / "model", pathlib.Path(scratch) / "out"
        with ProcessPoolExecutor(1, get_context("spawn")) as other:  # ru_maxrss of a child begins with the memory of its parent
            largest = other.submit(make_model, model).result()
        # Memory follows from the largest tensor, not from the model: a copy of all weights is 1.6 times the bound.
        bound = int(1.2 * largest) + 150_000_000
        size = sum(file.stat().st_size for file in model.glob("*.bin"))
        print(f"{size / 1e9:.2f} GB in two shards, largest tensor {largest / 1e6:.0f} MB, bound {bound / 1e6:.0f} MB")
        written = {}
        for name, options in CONVERSIONS.items():
            times, peaks = [], []
            for _ in range(arguments.runs):
                shutil.rmtree(out, ignore_errors=True)
                drop_from_cache(model)
                seconds, peak = run([arguments.program.resolve(), "convert", model, "--mlx-path", out, *options])
                times.append(seconds)
                peaks.append(peak)
            written[name] = sum(file.stat().st_size for file in out.iterdir())
            failed |= max(peaks) > bound
            print(f"{name}: {shown(times)}; peak memory {max(peaks) / 1e6:.0f} MB{', above the bound' * (max(peaks) > bound)}")
        times = []
        for _ in range(arguments.runs):
            drop_from_cache(model)
            times.append(run(["cat", *model.glob("*.bin")])[0])
        print(f"reading the files: {shown(times)}")
        for name, count in written.items():
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            seconds = run(["dd", "if=/dev/zero", f"of={out / 'file'}", "bs=1M", f"count={count >> 20}", "conv=fsync"])[0]
            print(f"writing the {count / 1e9:.2f} GB of {name}, to the disk: {seconds:.2f} s")
    return failed


if __name__ == "__main__":
    sys.exit(main())
