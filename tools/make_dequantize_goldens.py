"""Writes tests/data/dequantized/: the logits that transformers computes from what `dequantize` writes.

    python tools/make_dequantize_goldens.py build/release/mlx-encoder [NAME...]     (environment: tools/requirements-goldens.txt)

Each tiny classifier is converted at 4 bits, rounded to nearest, which gives the same bytes on every machine, and dequantized to
float32. transformers loads that folder as it would any other; a tensor that is missing or left over is an error. The texts
are those of the checkpoint's own golden. A test makes the same folders and compares.
"""

import argparse
import pathlib
import subprocess
import tempfile

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForSequenceClassification

ROOT = pathlib.Path(__file__).resolve().parent.parent
TINY, OUT = ROOT / "tests/data/tiny", ROOT / "tests/data/dequantized"
NAMES = ["bert_prefix", "distilbert_cls", "roberta_cls", "xlm_roberta_cls", "electra_cls", "albert_cls", "mpnet_cls",
         "mobilebert_cls", "modernbert_cls", "deberta_v2_cls", "bart_cls", "qwen3_cls"]


def dequantized(program, name, scratch):
    quantized, plain = scratch / f"{name}-4bit", scratch / f"{name}-plain"
    for command in (["convert", TINY / name, "--mlx-path", quantized, "-q", "--q-bits", "4", "--q-group-size", "32", "--calibrate",
                     "none"], ["dequantize", quantized, "--mlx-path", plain, "--dtype", "float32"]):
        subprocess.run([str(program), *map(str, command)], check=True, capture_output=True)
    return plain


def logits_of(folder, golden, group):
    model, report = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), (folder.name, report)
    model = model.double().eval()
    offsets, rows = golden[f"{group}offsets"], []
    for first, last in zip(offsets, offsets[1:]):
        ids, types = (torch.tensor(golden[group + key][first:last][None].astype(np.int64)) for key in ("ids", "token_types"))
        inputs = {"token_type_ids": types} if "token_type_ids" in model.forward.__code__.co_varnames else {}
        with torch.no_grad():
            rows.append(model(ids, attention_mask=torch.ones_like(ids), **inputs).logits[0])
    return torch.stack(rows).float().numpy()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("names", nargs="*", default=NAMES)
    arguments = parser.parse_args()
    for name in arguments.names:
        golden = load_file(TINY / name / "golden.safetensors")
        group = next(key.removesuffix("logits") for key in sorted(golden) if key in ("logits", "texts.logits", "pairs.logits"))
        with tempfile.TemporaryDirectory() as scratch:
            logits = logits_of(dequantized(arguments.program, name, pathlib.Path(scratch)), golden, group)
        kept = {key: golden[group + key] for key in ("ids", "token_types", "offsets")}
        (OUT / name).mkdir(parents=True, exist_ok=True)
        save_file(kept | {"logits": logits}, OUT / name / "golden.safetensors")
        print(name, logits.shape, "away from the original's by", abs(logits - golden[f"{group}logits"]).max())


if __name__ == "__main__":
    main()
