"""faiss: an exact index, then one of a bit a value with rescoring."""

import faiss
import numpy as np

from mlx_encoder import Encoder, quantize_embeddings

encoder = Encoder("all-MiniLM-L6-v2")
texts = ["The sky is blue.", "Bees live in hives.", "Stocks fell on Monday.", "A cat sleeps on the sofa."]
vectors = encoder.encode_document(texts, normalize_embeddings=True)
query = encoder.encode_query(["Where do insects dwell?"], normalize_embeddings=True)

index = faiss.IndexFlatIP(encoder.dimension)
index.add(vectors)
scores, rows = index.search(query, 2)
print(f"{scores[0, 0]:.3f}", texts[rows[0, 0]])

# 48 bytes a vector instead of 1536. The distance of bits finds candidates; float32 times bits orders them.
codes = quantize_embeddings(vectors, "ubinary")
bits = faiss.IndexBinaryFlat(encoder.dimension)
bits.add(codes)
candidates = bits.search(quantize_embeddings(query, "ubinary"), 3)[1][0]
signs = 2.0 * np.unpackbits(codes[candidates], axis=1) - 1
print(texts[candidates[np.argmax(signs @ query[0])]])
