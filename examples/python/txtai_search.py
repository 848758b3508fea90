"""txtai: its index over vectors of an Encoder."""

from txtai import Embeddings

from mlx_encoder import Encoder

encoder = Encoder("all-MiniLM-L6-v2")
texts = ["The sky is blue.", "Bees live in hives.", "Stocks fell on Monday.", "A cat sleeps on the sofa."]
index = Embeddings(method="external", transform=lambda batch: encoder.encode(batch, normalize_embeddings=True))
index.index(texts)
((row, score),) = index.search("Where do insects dwell?", 1)
print(f"{score:.3f}", texts[row])
