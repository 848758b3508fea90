"""Runs a real reader on folders: what tools/make_readers_table.py holds `inspect` against.

    python tools/reader_worker.py mlx-embeddings|mlx-lm|transformers < FOLDERS       (PYTHONPATH: another version's tree)

Standard input has a JSON object a line: `folder`, `texts`, and `pooling` (mean, cls or last) for the readers that only
give token vectors. For each, standard output gets one: `vectors` (a text each, normalized) or `error`. The first line says the
`version`. Each text runs alone, so that padding plays no part, in the floats that the folder has.
"""

import json
import sys
from importlib.metadata import version

import numpy as np


def pooled(hidden, pooling: str) -> list[float]:
    hidden = np.asarray(hidden, np.float32)
    vector = {"mean": hidden.mean(0), "cls": hidden[0], "last": hidden[-1]}[pooling]
    return (vector / np.linalg.norm(vector)).tolist()


def with_mlx_embeddings(folder, texts, pooling):
    import mlx.core as mx
    from mlx_embeddings import generate, load

    model, tokenizer = load(folder)

    def run(text):
        if model.config.model_type != "gemma3_text":
            return generate(model, tokenizer, texts=[text]).text_embeds
        inputs = tokenizer([text], return_tensors="mlx")  # generate() names an argument that its Gemma 3 lacks
        return model(inputs["input_ids"], inputs["attention_mask"]).text_embeds

    rows = [run(text) for text in texts]
    if any(row.ndim != 2 for row in rows):  # of a masked language model: its ModernBERT gives token vectors
        return [pooled(row[0].astype(mx.float32).tolist(), pooling) for row in rows]
    return [row[0].astype(mx.float32).tolist() for row in rows]


def with_mlx_lm(folder, texts, pooling):
    import pathlib

    import mlx.core as mx
    from mlx_lm.utils import load_model
    from transformers import AutoTokenizer

    model, _ = load_model(pathlib.Path(folder))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [model.model(mx.array([tokenizer(text)["input_ids"]]))[0] for text in texts]
    return [pooled(row.astype(mx.float32).tolist(), pooling) for row in rows]


def with_transformers(folder, texts, pooling):
    """Through sentence-transformers where the folder is its own."""
    import pathlib

    import torch
    from transformers import AutoModel, AutoTokenizer, T5EncoderModel

    config = json.loads((pathlib.Path(folder) / "config.json").read_text())
    if "auto_map" in config:
        raise NotImplementedError("the model needs its own code")
    if (pathlib.Path(folder) / "modules.json").exists():
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(folder, device="cpu", model_kwargs={"torch_dtype": torch.float32})
        return [model.encode(text, prompt="").tolist() for text in texts]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    kind = T5EncoderModel if config["model_type"] == "t5" else AutoModel
    model = kind.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        rows = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0] for text in texts]
    return [pooled(row.numpy(), pooling) for row in rows]


READERS = {"mlx-embeddings": with_mlx_embeddings, "mlx-lm": with_mlx_lm, "transformers": with_transformers}


def version_of(reader: str) -> str:
    if reader != "mlx-embeddings":
        return version(reader)
    from mlx_embeddings import __version__

    return __version__


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1] not in READERS:
        sys.exit(__doc__)
    results, sys.stdout = sys.stdout, sys.stderr  # readers print, too
    print(json.dumps({"version": version_of(sys.argv[1])}), file=results, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"vectors": READERS[sys.argv[1]](request["folder"], request["texts"], request["pooling"])}
        except Exception as error:  # whatever the reader raises
            answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
        print(json.dumps(answer), file=results, flush=True)


if __name__ == "__main__":
    main()
