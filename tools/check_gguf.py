"""Compares mlx-encoder on a GGUF file of a BERT with transformers on the same numbers, which gguf-py decodes.

    python tools/check_gguf.py MLX_ENCODER FILE.gguf ORIGINAL

ORIGINAL is the folder the file was made of. Prints the largest difference of a value between mlx-encoder and transformers,
the smallest cosine with the original's vectors, and the number of texts with other token ids.
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


def main() -> None:
    program, file, original = sys.argv[1:4]
    tokenizer = AutoTokenizer.from_pretrained(original)
    all_texts = texts()
    with tempfile.TemporaryDirectory() as work:
        inputs, output = Path(work) / "texts.jsonl", Path(work) / "vectors.npy"
        inputs.write_text("".join(json.dumps({"text": text}) + "\n" for text in all_texts))
        subprocess.run([program, "embed", file, "-i", inputs, "-o", output, "--engine", "cpu"], check=True,
                       capture_output=True)
        found = np.load(output)
        listed = subprocess.run([program, "tokenize", file, "-i", inputs, "--json"], check=True, capture_output=True,
                                text=True).stdout.splitlines()
    wrong = sum(json.loads(line)["ids"] != tokenizer(text)["input_ids"] for line, text in zip(listed, all_texts, strict=True))
    same_numbers = vectors(with_numbers_of(file, original), tokenizer, all_texts)
    cosines = (found * vectors(AutoModel.from_pretrained(original).eval(), tokenizer, all_texts)).sum(1)
    print(f"{Path(file).name}: {len(all_texts)} texts; largest difference from transformers on the same numbers "
          f"{np.abs(found - same_numbers).max():.2g}; cosine with the original {cosines.min():.6f} or more, "
          f"{cosines.mean():.6f} on average; {wrong} texts with other token ids")


if __name__ == "__main__":
    main()
