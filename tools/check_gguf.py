"""Compares mlx-encoder on GGUF files of a BERT with transformers on the same numbers, which gguf-py decodes.

    python tools/check_gguf.py MLX_ENCODER ORIGINAL FILE.gguf...

ORIGINAL is the folder the files were made of (tools/make_gguf_models.py makes them with llama.cpp). Prints the largest difference
of a value between mlx-encoder and transformers, the smallest cosine with the original's vectors, and the number of texts with
other token ids. Exit status 1 if a difference is above the tolerance or an id is another.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf.quants import dequantize
from transformers import AutoModel, AutoTokenizer

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
# Vectors of length 1 by the same float32 products, summed in another order: kParityTolerance of tests/models/golden.h. A file's
# rounding changes a vector by more, so that other numbers than the file's do not pass.
TOLERANCE = 1e-5


def texts() -> list[str]:
    lines = [json.loads(line)["text"] for line in (DATA / "nasty_texts.jsonl").read_text().splitlines()]
    lines = [line for line in lines if line.strip() and len(line) < 2000 and "\0" not in line]
    joined = [f"{a} {b}" for a, b in zip(lines, lines[1:])]
    return lines + joined + [line[: len(line) // 2] for line in joined] + [line.upper() for line in lines]


def vectors(model, tokenizer, all_texts: list[str]) -> np.ndarray:
    rows = []
    with torch.inference_mode():
        for text in all_texts:
            inputs = tokenizer(text, truncation=True, max_length=512, return_tensors="pt")
            mean = model(**inputs).last_hidden_state[0].mean(0)
            rows.append((mean / mean.norm()).numpy())
    return np.stack(rows)


def with_numbers_of(file: str, original: str):
    """The original with the numbers of the file; its pooler is not used."""
    model = AutoModel.from_pretrained(original).eval()
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, model.config.num_hidden_layers)
    tensors = {t.name: t for t in gguf.GGUFReader(file).tensors}
    state, used = model.state_dict(), set()
    for name, values in state.items():
        stored = names.get_name(name, (".weight", ".bias"))
        if name.startswith("pooler") or stored is None:
            continue
        tensor = tensors[stored]
        state[name] = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy()).reshape(values.shape)
        used.add(stored)
    assert used == set(tensors), set(tensors) - used
    model.load_state_dict(state)
    return model


def check(program: str, file: str, original: str, tokenizer, all_texts: list[str], of_original: np.ndarray) -> bool:
    with tempfile.TemporaryDirectory() as work:
        inputs, output = Path(work) / "texts.jsonl", Path(work) / "vectors.npy"
        inputs.write_text("".join(json.dumps({"text": text}) + "\n" for text in all_texts))
        subprocess.run([program, "embed", file, "-i", inputs, "-o", output, "--engine", "cpu", "--activations", "f32"], check=True,
                       capture_output=True)
        found = np.load(output)
        listed = subprocess.run([program, "tokenize", file, "-i", inputs, "--json"], check=True, capture_output=True,
                                text=True).stdout.splitlines()
    wrong = sum(json.loads(line)["ids"] != tokenizer(text)["input_ids"] for line, text in zip(listed, all_texts, strict=True))
    difference = np.abs(found - vectors(with_numbers_of(file, original), tokenizer, all_texts)).max()
    cosines = (found * of_original).sum(1)
    print(f"{Path(file).name}: {len(all_texts)} texts; largest difference from transformers on the same numbers "
          f"{difference:.2g} (from the original {np.abs(found - of_original).max():.2g}); cosine with the original "
          f"{cosines.min():.6f} or more, {cosines.mean():.6f} on average; {wrong} texts with other token ids", flush=True)
    return difference <= TOLERANCE and not wrong


def main() -> int:
    program, original, *files = sys.argv[1:]
    tokenizer, all_texts = AutoTokenizer.from_pretrained(original), texts()
    of_original = vectors(AutoModel.from_pretrained(original).eval(), tokenizer, all_texts)
    return not all([check(program, file, original, tokenizer, all_texts, of_original) for file in files])


if __name__ == "__main__":
    sys.exit(main())
