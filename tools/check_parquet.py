"""Checks that other readers take the .parquet files of vectors that mlx-encoder writes: pyarrow, pandas, polars, DuckDB.

    python tools/check_parquet.py PROGRAM MODEL

MODEL is a folder such as tests/data/tiny/st_mean_norm. Embeds texts from a .parquet file into .jsonl and .parquet files of each
precision, reads the latter with each reader and compares the values. The environment is one with
tools/requirements-goldens-parquet.txt.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

PRECISIONS = ["float32", "float16", "int8", "uint8", "binary", "ubinary"]
READERS = {
    "pyarrow": lambda path: pq.read_table(path).to_pylist(),
    "pandas": lambda path: pd.read_parquet(path).to_dict("records"),
    "polars": lambda path: pl.read_parquet(path).to_dicts(),
    "duckdb": lambda path: duckdb.read_parquet(str(path)).to_arrow_table().to_pylist(),
}


def same(found: dict, expected: dict) -> bool:
    if found.keys() != expected.keys():
        return False
    vectors = [np.asarray(row["embedding"], dtype=np.float32) for row in (found, expected)]
    return np.array_equal(*vectors) and all(found[key] == expected[key] for key in found if key != "embedding")


def main(program: str, model: str) -> int:
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "texts.parquet"
        words = [f"the cat {i % 7} sat on the road {i % 11}. the dog {i % 5} ran home" for i in range(3000)]
        pq.write_table(pa.table({"id": range(len(words)), "text": words}), texts, row_group_size=700)
        for options in [["--precision", p] for p in PRECISIONS] + [["--chunk", "8", "--precision", p] for p in PRECISIONS]:
            paths = [Path(folder) / name for name in ("v.jsonl", "v.parquet")]
            for path in paths:
                subprocess.run([program, "embed", model, "--engine", "cpu", "-i", texts, "-o", path, *options], check=True, capture_output=True)
            expected = [json.loads(line) for line in paths[0].open()]
            for name, read in READERS.items():
                try:
                    found = read(paths[1])
                    good = len(found) == len(expected) and all(map(same, found, expected))
                    said = f"{len(found)} rows, {'same' if good else 'OTHER VALUES'}"
                except Exception as error:  # whatever the reader has against the file
                    good, said = False, f"FAILED: {error}"
                failed += not good
                print(f"{' '.join(options):34} {name:8} {said}")
            print(f"{' '.join(options):34} {paths[1].stat().st_size} bytes, .jsonl {paths[0].stat().st_size}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
