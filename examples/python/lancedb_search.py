"""LanceDB: a table of texts and vectors in a folder."""

import lancedb

from mlx_encoder import Encoder

encoder = Encoder("all-MiniLM-L6-v2")
texts = ["The sky is blue.", "Bees live in hives.", "Stocks fell on Monday.", "A cat sleeps on the sofa."]

database = lancedb.connect("texts.lancedb")
rows = [{"text": text, "vector": vector} for text, vector in zip(texts, encoder.encode_document(texts))]
table = database.create_table("texts", rows, mode="overwrite")

query = encoder.encode_query("Where do insects dwell?")
best = table.search(query).distance_type("cosine").limit(2).to_list()[0]
print(f"{1 - best['_distance']:.3f}", best["text"])
