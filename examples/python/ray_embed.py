"""Vectors of the texts in a folder of Parquet or JSONL files, by Ray Data: an Encoder in each of several actors.

    python ray_embed.py MODEL INPUT OUTPUT [--workers 2] [--threads 1] [--id id] [--text text]

OUTPUT gets Parquet files with the columns id and embedding. The model is a name on the hub, or a folder that all nodes see.
An actor that dies is started again, and so are its batches. docs/corpora.md."""

import argparse
import pathlib

import pyarrow as pa
import ray

from mlx_encoder import Encoder


class Embed:
    """One for each actor. Texts of a batch to vectors."""

    def __init__(self, encoder: Encoder, id: str, text: str):
        self.encoder, self.id, self.text = encoder, id, text

    def __call__(self, batch: pa.Table) -> pa.Table:
        vectors = self.encoder.encode(batch[self.text].to_pylist())
        return pa.table({self.id: batch[self.id], "embedding": pa.FixedSizeListArray.from_arrays(vectors.reshape(-1), vectors.shape[1])})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "input", "output"):
        parser.add_argument(name)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--id", default="id")
    parser.add_argument("--text", default="text")
    o = parser.parse_args()
    ray.init(ignore_reinit_error=True)
    cores = ray.cluster_resources()["CPU"]
    if o.workers * o.threads >= cores:  # Ray would wait forever
        parser.error(f"{o.workers} workers with {o.threads} threads leave none of the {cores:.0f} cores to tasks that read and write")
    is_parquet = any(pathlib.Path(o.input).rglob("*.parquet"))
    rows = ray.data.read_parquet(o.input, columns=[o.id, o.text]) if is_parquet else ray.data.read_json(o.input, lines=True)
    # A pickled Encoder holds no weights: each actor loads them.
    arguments = {"encoder": Encoder(o.model, threads=o.threads), "id": o.id, "text": o.text}
    vectors = rows.map_batches(Embed, fn_constructor_kwargs=arguments, compute=ray.data.ActorPoolStrategy(size=o.workers),
                               num_cpus=o.threads, batch_format="pyarrow", batch_size=1024)  # fmt: skip
    vectors.write_parquet(o.output, mode=ray.data.SaveMode.ERROR)


if __name__ == "__main__":
    main()
