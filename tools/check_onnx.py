"""Compares the vectors of converted ONNX exports of a real encoder with onnxruntime's and torch's.

    python tools/check_onnx.py PROGRAM MODEL...     (environment: as tools/make_onnx_goldens.py)

MODEL is a folder with safetensors, such as the real all-MiniLM-L6-v2 (`tools/find_minilm.py`) and
tests/data/tiny/{bert,mpnet,modernbert}. torch.onnx exports it with both exporters, if it can; onnxruntime quantizes the first
export dynamically, as optimum does. Each file is converted to float32. The mean of the token vectors, normalized, is
compared: of a float export with onnxruntime's; of a quantized one with torch's of the weights that its codes stand for
(onnxruntime's own vectors differ more, because it quantizes activations, too). Exit status 1 if a file is refused or
a difference is above the tolerance.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import AutoModel, AutoTokenizer

import make_onnx_goldens as onnx_goldens

# Float32 sums of the same products in another order: kParityTolerance of tests/models/golden.h, of the largest value. The
# twin: the vectors of a quantized export differ from the original's by more than ten times that.
TOLERANCE = 1e-5
EXPORTERS = {"model": "script", "model_dynamo": "dynamo"}
QUANTIZED = {
    "model_uint8": dict(weight_type=QuantType.QUInt8),
    "model_int8": dict(weight_type=QuantType.QInt8),
    "model_channels": dict(weight_type=QuantType.QUInt8, per_channel=True),
}


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def ours(program: Path, export: Path, texts: list[str], scratch: Path) -> np.ndarray:
    """Raises ValueError with what the program says."""
    out, inputs, vectors = scratch / f"{export.stem}-mlx", scratch / "texts.jsonl", scratch / "vectors.npy"
    inputs.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    for command in (["convert", export, "--mlx-path", out, "--dtype", "float32"],
                    ["embed", out, "-i", inputs, "-o", vectors, "--engine", "cpu", "--activations", "f32"]):
        done = subprocess.run([program, *command], capture_output=True, text=True)
        if done.returncode:
            raise ValueError(f"status {done.returncode}: {done.stderr.strip().splitlines()[-1]}")
    return unit(np.load(vectors))


def torchs(model, tokenizer, texts: list[str]) -> np.ndarray:
    with torch.inference_mode():
        rows = [model(**tokenizer(text, truncation=True, return_tensors="pt")).last_hidden_state[0].mean(0).numpy()
                for text in texts]
    return unit(np.stack(rows))


def check(program: Path, source: Path, scratch: Path) -> bool:
    """Prints a line for each export. Returns whether all are within the tolerance."""
    model = AutoModel.from_pretrained(source, attn_implementation="eager", dtype=torch.float32).eval()
    tokenizer, texts, passed = AutoTokenizer.from_pretrained(source), onnx_goldens.TEXTS, True
    weights = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    original = torchs(model, tokenizer, texts)
    folder = scratch / "model"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors", "*.onnx", "*.bin"))

    def compare(name: str, expected: np.ndarray, whose: str, is_quantized: bool) -> None:
        nonlocal passed
        try:
            found = ours(program, folder / f"{name}.onnx", texts, scratch)
        except ValueError as refusal:
            passed = False
            print(f"  {name}: {refusal}")
            return
        difference, changed = error(found, expected), error(found, original)
        passed &= difference <= TOLERANCE and not (is_quantized and changed <= 10 * TOLERANCE)
        print(f"  {name}: {difference:.1e} from {whose}, {changed:.1e} from the original")

    exports = []
    for name, exporter in EXPORTERS.items():
        file = folder / f"{name}.onnx"
        try:
            onnx_goldens.export(source, file, exporter)
        except Exception as problem:  # whatever torch raises for what it does not export
            print(f"  {name}: torch does not export it: {type(problem).__name__}")
            continue
        exports.append(file)
        compare(name, unit(onnx_goldens.vectors(source, file, texts)), "onnxruntime", False)
    for name, options in QUANTIZED.items():
        file = folder / f"{name}.onnx"
        quantize_dynamic(exports[0], file, **options)
        values = onnx_goldens.dequantized(file, exports[0], weights)
        model.load_state_dict({key: torch.from_numpy(values.get(key, weight)) for key, weight in weights.items()})
        compare(name, torchs(model, tokenizer, texts), "torch on its dequantized weights", True)
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("models", nargs="+", type=Path)
    arguments = parser.parse_args()
    onnx_goldens.be_quiet()
    passed = True
    for source in arguments.models:
        print(f"{source}:", flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            passed &= check(arguments.program.resolve(), source.resolve(), Path(scratch))
    return not passed


if __name__ == "__main__":
    sys.exit(main())
