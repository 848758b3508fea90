"""sqlite-vec: vectors beside texts in SQLite; bits find candidates, float32 orders them."""

import sqlite3

import sqlite_vec

from mlx_encoder import Encoder, quantize_embeddings

encoder = Encoder("all-MiniLM-L6-v2")
texts = ["The sky is blue.", "Bees live in hives.", "Stocks fell on Monday.", "A cat sleeps on the sofa."]
vectors = encoder.encode_document(texts)
codes = quantize_embeddings(vectors, "ubinary")

database = sqlite3.connect("texts.sqlite")
database.enable_load_extension(True)
sqlite_vec.load(database)
database.execute("create table texts(id integer primary key, text, vector)")
database.execute(f"create virtual table bits using vec0(code bit[{encoder.dimension}])")
for row, text in enumerate(texts):
    database.execute("insert into texts values(?, ?, ?)", (row, text, vectors[row].tobytes()))
    database.execute("insert into bits(rowid, code) values(?, vec_bit(?))", (row, codes[row].tobytes()))

query = encoder.encode_query(["Where do insects dwell?"])
rows = database.execute(
    "with candidates as (select rowid from bits where code match vec_bit(?) and k = 3)"
    " select text, vec_distance_cosine(vector, ?) as distance from texts join candidates on id = candidates.rowid order by distance",
    (quantize_embeddings(query, "ubinary").tobytes(), query.tobytes()),
)
text, distance = rows.fetchone()
print(f"{1 - distance:.3f}", text)
database.commit()
