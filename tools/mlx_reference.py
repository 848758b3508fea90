"""Embeds texts with the real mlx-embeddings and prints the vectors: what our `--layout mlx-embeddings` is held against.

    python tools/mlx_reference.py FOLDER TEXT... [--float32]    (environment: tools/requirements-mlx-embeddings.txt)

One JSON object: `mlx` and `mlx_embeddings` (versions) and `vectors`, one a text: mean over the tokens, normalized. Each
text runs alone, so that padding plays no part. mlx-embeddings computes in the file's own floats, as a rule float16, until
its float32 attention mask widens what follows; --float32 widens the loaded model first.
"""

import argparse
import json
from importlib.metadata import version

import mlx.core as mx
from mlx_embeddings import generate, load


def embed(folder, texts, float32):
    model, tokenizer = load(str(folder))
    if float32:
        model.set_dtype(mx.float32)
    embeddings = [generate(model, tokenizer, texts=[text]).text_embeds[0] for text in texts]
    return {
        "mlx": version("mlx"),
        "mlx_embeddings": version("mlx-embeddings"),
        "vectors": [e.astype(mx.float32).tolist() for e in embeddings],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("texts", nargs="+")
    parser.add_argument("--float32", action="store_true")
    arguments = parser.parse_args()
    print(json.dumps(embed(arguments.folder, arguments.texts, arguments.float32)))
