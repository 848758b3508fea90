"""usearch: an index of float32, one of int8, and one of a bit a value with rescoring."""

import numpy as np
from usearch.index import Index

from mlx_encoder import Encoder, quantize_embeddings

encoder = Encoder("all-MiniLM-L6-v2")
texts = ["The sky is blue.", "Bees live in hives.", "Stocks fell on Monday.", "A cat sleeps on the sofa."]
vectors, keys = encoder.encode_document(texts), np.arange(len(texts))
query = encoder.encode_query("Where do insects dwell?")

for dtype in ("f32", "i8"):  # i8: usearch rounds the values of unit vectors to int8
    index = Index(ndim=encoder.dimension, metric="cos", dtype=dtype)
    index.add(keys, vectors)
    best = index.search(query, 2)[0]
    print(dtype, f"{1 - best.distance:.2f}", texts[best.key])

index = Index(ndim=encoder.dimension, metric="hamming", dtype="b1")
index.add(keys, quantize_embeddings(vectors, "ubinary"))
candidates = index.search(quantize_embeddings(query[None], "ubinary")[0], 3).keys
print("b1", texts[candidates[np.argmax(encoder.similarity(query, vectors[candidates]))]])
