"""Vectors of the texts in a folder of Parquet or JSONL files, by Spark: an Encoder for each partition (mapInArrow).

    spark-submit --master MASTER spark_embed.py MODEL INPUT OUTPUT [--threads 1] [--id id] [--text text]

OUTPUT gets Parquet files with the columns id and embedding. The model is a name on the hub, or a folder that all nodes see.
A partition whose worker dies is computed again by another. --threads: a task's, as spark.task.cpus. docs/corpora.md."""

import argparse
import pathlib
from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql.types import ArrayType, FloatType, StructField, StructType

from mlx_encoder import Encoder


def embed(encoder: Encoder) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Batches of ids and texts to batches of ids and vectors."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            vectors = encoder.encode(batch.column(1).to_pylist())
            offsets = pa.array(range(0, vectors.size + 1, vectors.shape[1]), pa.int32())
            lists = pa.ListArray.from_arrays(offsets, vectors.reshape(-1))
            yield pa.RecordBatch.from_arrays([batch.column(0), lists], [batch.schema.names[0], "embedding"])

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "input", "output"):
        parser.add_argument(name)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--id", default="id")
    parser.add_argument("--text", default="text")
    o = parser.parse_args()
    spark = SparkSession.builder.appName("embed").getOrCreate()
    read = spark.read.parquet if any(pathlib.Path(o.input).rglob("*.parquet")) else spark.read.json
    texts = read(o.input).select(o.id, o.text)
    schema = StructType([texts.schema[o.id], StructField("embedding", ArrayType(FloatType()))])
    # A pickled Encoder holds no weights: each task loads them.
    texts.mapInArrow(embed(Encoder(o.model, threads=o.threads)), schema).write.parquet(o.output)
    spark.stop()


if __name__ == "__main__":
    main()
