"""Writes tests/data/parquet: texts as pyarrow, pandas, polars and DuckDB write them in .parquet files, and what pyarrow reads there.

    python tools/make_parquet_goldens.py

The environment is one with tools/requirements-goldens-parquet.txt.
"""

import datetime
import json
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

OUT = Path(__file__).resolve().parent.parent / "tests" / "data" / "parquet"
ROWS = 10
UNREAD = {"day", "at", "meta", "pairs", "nested", "spans"}  # dates, structures, maps, lists of lists: nobody reads texts or labels there


def table() -> pa.Table:
    numbers = range(ROWS)
    return pa.table({
        "id": pa.array([2**53 + i for i in numbers], pa.int64()),
        "meta": pa.array([{"a": i, "b": None} for i in numbers], pa.struct([("a", pa.int32()), ("b", pa.string())])),
        "text": [f"row {i}: the café of Zürich, 東京 \U0001f600" if i % 3 else "" for i in numbers],
        "label": pa.array([i % 3 - 1 for i in numbers], pa.int8()),
        "level": pa.array([250 + i for i in numbers], pa.uint16()),
        "score": pa.array([i / 10 for i in numbers], pa.float32()),
        "rating": pa.array([None if i == 4 else i / 7 for i in numbers], pa.float64()),
        "half": pa.array([i / 4 for i in numbers], pa.float16()),
        "good": [i % 2 == 0 for i in numbers],
        "note": [None if i % 2 else f"note {i}" for i in numbers],
        "price": pa.array([Decimal(i * 125 - 300) / 100 for i in numbers], pa.decimal128(6, 2)),
        "tokens": [None if i == 3 else [f"w{j}" for j in range(i % 4)] for i in numbers],
        "tags": pa.array([[j if j % 3 else None for j in range(i % 5)] for i in numbers], pa.list_(pa.int64())),
        "kind": pa.array([f"kind {i % 2}" for i in numbers]).dictionary_encode(),
        "day": [datetime.date(2024, 1, 1 + i) for i in numbers],
        "at": [datetime.datetime(2024, 1, 1 + i) for i in numbers],
        "pairs": pa.array([[("k", i)] for i in numbers], pa.map_(pa.string(), pa.int32())),
        "nested": [[[i], [i, i]] for i in numbers],
        "spans": pa.array([[{"b": i}] for i in numbers]),
    })


def cell(value: object) -> object:
    return str(value) if isinstance(value, Decimal) else value


def rows(path: Path) -> list[dict]:
    """What pyarrow reads of the columns that mlx-encoder reads. Shortest digits of a float32, as it writes them."""
    read = pq.read_table(path)
    read = read.select([name for name in read.column_names if name not in UNREAD])
    floats = [i for i, field in enumerate(read.schema) if field.type == pa.float32()]
    for i in floats:
        read = read.set_column(i, read.schema.names[i], pa.array([float(str(v)) for v in read.column(i).to_numpy()]))
    return [{name: cell(value) for name, value in row.items()} for row in read.to_pylist()]


def write_tables() -> None:
    whole = table()
    small = whole.drop_columns(["half", "pairs", "nested", "spans"])
    for i, codec in enumerate(["none", "snappy", "gzip", "zstd", "lz4"]):
        for version in ["1.0", "2.0"]:
            pq.write_table(whole, OUT / f"pyarrow_{codec}_{version[0]}.parquet", compression=codec, data_page_version=version, row_group_size=4,
                           use_dictionary=i % 2 == 0)
    pq.write_table(whole, OUT / "small_pages.parquet", data_page_size=16, write_batch_size=2, use_dictionary=["kind"], store_schema=False)
    encodings = {"id": "DELTA_BINARY_PACKED", "text": "DELTA_BYTE_ARRAY", "note": "DELTA_LENGTH_BYTE_ARRAY", "score": "BYTE_STREAM_SPLIT"}
    pq.write_table(whole, OUT / "encodings.parquet", use_dictionary=False, column_encoding=encodings)
    pq.write_table(whole.slice(0, 0), OUT / "empty.parquet")
    large = small.set_column(small.column_names.index("text"), "text", small["text"].cast(pa.large_string()))
    pq.write_table(large.set_column(0, "tokens2", small["tokens"].cast(pa.large_list(pa.string()))), OUT / "large.parquet")
    pq.write_table(whole, OUT / "old_lists.parquet", use_compliant_nested_type=False, version="1.0")
    small.to_pandas().to_parquet(OUT / "pandas.parquet")
    frame = pl.from_arrow(small.drop_columns(["kind"]))
    frame.write_parquet(OUT / "polars.parquet", row_group_size=4)
    duckdb.sql("select * from small").write_parquet(str(OUT / "duckdb.parquet"))
    duckdb.sql("select * from small").write_parquet(str(OUT / "duckdb_zstd.parquet"), compression="zstd")


def write_data() -> None:
    """Data of tasks."""
    pq.write_table(pa.table({"tokens": [["London", "calls"], ["At", "last"]], "ner_tags": [["B-LOC", "O"], ["O", "O"]]}), OUT / "ner.parquet")
    pq.write_table(pa.table({"query": ["a cat", "a road"], "positive": [["the cat"], ["the road", "a way"]],
                             "negative": [["the road"], ["the cat"]]}), OUT / "rerank.parquet")
    pq.write_table(pa.table({"sentence1": ["a cat", "a road"], "sentence2": ["the cat", "a way"], "score": pa.array([4.5, 3], pa.float32())}),
                   OUT / "pairs.parquet")


def write_odd() -> None:
    """Texts in columns of another type, and files that are refused."""
    texts = ["one", "two"]
    pq.write_table(pa.table({"text": pa.array([t.encode() for t in texts], pa.binary()), "image": [b"\xff\xd8", b"\xff"]}), OUT / "bytes.parquet")
    pq.write_table(pa.table({"body": texts, "id": [1, 2]}), OUT / "other_name.parquet")
    pq.write_table(pa.table({"text": ["the cat"]}), OUT / "checksum.parquet", compression="none", use_dictionary=False,
                   write_statistics=False, write_page_checksum=True)
    pq.write_table(pa.table({"text": [{"a": "one"}]}), OUT / "refused_structure.parquet")
    pq.write_table(pa.table({"text": [1, 2]}), OUT / "refused_numbers.parquet")
    pq.write_table(pa.table({"text": [None if i == 16 else "x" for i in range(20)]}), OUT / "refused_null.parquet", row_group_size=6)
    pq.write_table(pa.table({"text": [b"one", b"t\xffo"]}), OUT / "refused_bytes.parquet")
    not_text = pa.array([b"one", b"t\xffo"]).view(pa.string())
    pq.write_table(pa.table({"text": not_text}), OUT / "refused_utf8.parquet")
    pq.write_table(pa.table({"text": texts}), OUT / "refused_brotli.parquet", compression="brotli")
    keys = pe.EncryptionConfiguration(footer_key="footer", column_keys={"column": ["text"]})
    for name, plain in [("footer", False), ("column", True)]:
        keys.plaintext_footer = plain
        properties = pe.CryptoFactory(lambda _: Keys()).file_encryption_properties(pe.KmsConnectionConfig(), keys)
        with pq.ParquetWriter(OUT / f"refused_encrypted_{name}.parquet", pa.schema([("text", pa.string())]), encryption_properties=properties) as w:
            w.write_table(pa.table({"text": texts}))


class Keys(pe.KmsClient):
    """Wraps no key: the files are never read."""

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> str:
        return key_bytes.hex()

    def unwrap_key(self, wrapped_key: str, master_key_identifier: str) -> bytes:
        return bytes.fromhex(wrapped_key)


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    write_tables()
    expected = {path.name: rows(path) for path in sorted(OUT.glob("*.parquet")) if not path.name.startswith(("refused", "bytes"))}
    write_data()
    write_odd()
    (OUT / "expected.json").write_text(json.dumps(expected, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
