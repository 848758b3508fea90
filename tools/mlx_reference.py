"""Embeds texts with the real mlx-embeddings and prints the vectors: what our `--layout mlx-embeddings` is held against.

    python tools/mlx_reference.py FOLDER TEXT...        (environment: tools/requirements-mlx-embeddings.txt)

One JSON object: `mlx` and `mlx_embeddings` (versions), `dtype` (of the activations, as mlx-embeddings chose it) and
`vectors`, one a text: mean over the tokens, normalized. Each text runs alone, so that padding plays no part.
"""

import argparse
import json
from importlib.metadata import version

import mlx.core as mx
from mlx_embeddings import generate, load

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folder")
parser.add_argument("texts", nargs="+")
arguments = parser.parse_args()

model, tokenizer = load(arguments.folder)
embeddings = [generate(model, tokenizer, texts=[text]).text_embeds[0] for text in arguments.texts]
print(
    json.dumps(
        {
            "mlx": version("mlx"),
            "mlx_embeddings": version("mlx-embeddings"),
            "dtype": str(embeddings[0].dtype).removeprefix("mlx.core."),
            "vectors": [e.astype(mx.float32).tolist() for e in embeddings],
        }
    )
)
