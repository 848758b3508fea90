"""Compares the goldens of tools/jina_bert.py with what published code computes: a folder with modeling_bert.py and
configuration_bert.py of jinaai/jina-bert-implementation or jinaai/jina-bert-v2-qk-post-norm, which this project holds no
copy of. Says of each tiny folder how far they differ, relative to the largest value, or that the code is of the other kind.

    python tools/check_jina_bert.py FOLDER        (environment: tools/requirements-goldens.txt)
"""

import importlib
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

TINY = Path(__file__).resolve().parent.parent / "tests" / "data" / "tiny"
FOLDERS = ["jina_bert", "jina_bert_heads", "jina_bert_code", "jina_bert_cls", "jina_bert_ner", "st_jina"]
TOLERANCE = 4e-6  # float32 sums in another order: tests/models/golden.h


def published(folder):
    """The modules of the folder, which import each other relatively."""
    sys.path.insert(0, str(folder.parent))
    return (importlib.import_module(f"{folder.name}.{name}") for name in ("configuration_bert", "modeling_bert"))


def main():
    configuration, modeling = published(Path(sys.argv[1]).resolve())
    worst = compared = 0
    for name in FOLDERS:
        stated = json.loads((TINY / name / "config.json").read_text())
        kind = stated["architectures"][0]
        for key in ("auto_map", "model_type", "emb_pooler"):  # with a pooler it asks the Hub for a tokenizer
            stated.pop(key, None)
        model = getattr(modeling, kind)(configuration.JinaBertConfig(**stated)).eval()
        state = load_file(TINY / name / "model.safetensors")
        if set(state) != set(model.state_dict()):
            print(f"{name:16} is of other code")
            continue
        model.load_state_dict(state)
        golden = load_file(TINY / name / "golden.safetensors")
        offsets = golden["offsets"].tolist()
        error = 0
        for first, past, text in zip(offsets, offsets[1:], range(len(offsets))):
            ids, types = (golden[part][first:past].long()[None] for part in ("ids", "token_types"))
            with torch.no_grad():
                out = model(ids, attention_mask=torch.ones_like(ids), token_type_ids=types, output_hidden_states=True)
            pairs = [(rows[0], golden[f"layers.{n}"], slice(first, past)) for n, rows in enumerate(out.hidden_states)]
            for result, matrix, rows in (("pooler_output", "pooler", text), ("logits", "logits", text),
                                         ("logits", "token_logits", slice(first, past))):
                if result in out and matrix in golden:
                    pairs.append((out[result][0], golden[matrix], rows))
            for found, expected, rows in pairs:
                error = max(error, ((found - expected[rows]).abs().max() / expected.abs().max()).item())
        print(f"{name:16} differs by {error:.1e}")
        worst, compared = max(worst, error), compared + 1
    if not compared or worst > TOLERANCE:
        sys.exit("the goldens are not what this code computes")


if __name__ == "__main__":
    main()
