"""Makes tests/data/facts.json: what the original models score on task data that is not in this repository.

    python tools/make_facts.py --data ../shared/data --nli ../shared/models/distilbert-nli
                                              (environment: tools/requirements-goldens.txt; about 5 minutes)

Float32 arithmetic in transformers and sentence-transformers. A test that finds the data beside the project compares
its own scores with these; the SHA-256 of every input says whether it is the same data.
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import scipy.stats
import sklearn.metrics
import torch
import transformers
from sentence_transformers import SentenceTransformer
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from make_minilm_golden import model_folder

OUT = Path(__file__).resolve().parent.parent / "tests" / "data" / "facts.json"


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_tsv(path):
    lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")[1:]
    return [line.split("\t") for line in lines]


def sts_benchmark(path):
    rows = read_tsv(path)
    st = SentenceTransformer(str(model_folder()), device="cpu")
    first, second = (st.encode([row[side] for row in rows], normalize_embeddings=False) for side in (0, 1))
    cosine = (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    return {
        "how": "all-MiniLM-L6-v2, float32; Spearman's rank correlation (scipy, ties averaged) of the cosine of each "
               "pair's sentence vectors with its score",
        "model_sha256": sha256(model_folder() / "model.safetensors"),
        "data_sha256": sha256(path),
        "pairs": len(rows),
        "spearman": round(float(scipy.stats.spearmanr(cosine, [float(row[2]) for row in rows]).statistic), 6),
        "cosine_mean": round(float(cosine.mean()), 6),
    }


def nli(path, folder):
    rows = read_tsv(path)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = [tokenizer(a, b, truncation=True)["input_ids"] for a, b, _ in rows]
    logits = torch.empty(len(rows), model.config.num_labels)
    order = sorted(range(len(rows)), key=lambda i: len(encoded[i]))
    for start in range(0, len(order), 16):
        batch = order[start : start + 16]
        padded = tokenizer.pad({"input_ids": [encoded[i] for i in batch]}, return_tensors="pt")
        with torch.no_grad():
            logits[batch] = model(input_ids=padded["input_ids"], attention_mask=padded["attention_mask"]).logits
    truth = [model.config.label2id[row[2]] for row in rows]
    predicted = logits.argmax(1).tolist()
    top = logits.sort(1, descending=True).values
    rounded = lambda values: [round(v, 5) for v in values.tolist()]  # noqa: E731
    return {
        "how": "DistilBertForSequenceClassification in float32 from float16 weights, pairs (text, text_pair)",
        "model_sha256": sha256(folder / "model.safetensors"),
        "data_sha256": sha256(path),
        "labels": [model.config.id2label[i] for i in range(model.config.num_labels)],
        "pairs": len(rows),
        "tokens": sum(map(len, encoded)),
        "accuracy": round(sklearn.metrics.accuracy_score(truth, predicted), 6),
        "macro_f1": round(sklearn.metrics.f1_score(truth, predicted, average="macro"), 6),
        "logits_mean": rounded(logits.mean(0)),
        "logits_std": rounded(logits.std(0, correction=0)),
        "logits_first_pair": rounded(logits[0]),
        "smallest_margin": round((top[:, 0] - top[:, 1]).min().item(), 6),
        "predictions": "".join(map(str, predicted)),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with stsb-test.tsv and nli-dev.tsv")
    parser.add_argument("--nli", type=Path, required=True, help="the distilbert-nli model folder")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    facts = {"stsb_test": sts_benchmark(arguments.data / "stsb-test.tsv"),
             "nli_dev": nli(arguments.data / "nli-dev.tsv", arguments.nli)}
    OUT.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
