"""Rows a second of a corpus with 1 and 2 workers on this machine: the program, Ray and Spark; and what a model of that predicts for more.

    .venv-clusters/bin/python tools/bench_clusters.py build/release/mlx-encoder MODEL [--rows 20000] [--rounds 3]

Needs `make test-clusters` for its environment, and an idle machine. Prints a section of Markdown for docs/corpora.md. Each worker has one
thread. Every time is the best of the rounds, of the whole command; a run of a tenth of the rows gives the time to start."""

import argparse
import dataclasses
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples/python"
FILES = 32
WORKERS = (1, 2)
PREDICTED = (8, 64)
WORDS = "the cat dog road house sat ran long warm number is and very on a sky bee hive market river stone".split()

ENVIRONMENT = {**os.environ, "RAY_ADDRESS": "local", "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled",
               "RAY_worker_niceness": "0", "PYSPARK_PYTHON": sys.executable}  # fmt: skip
RAY = """
import os, ray, runpy, sys
ray.init(num_cpus=int(sys.argv[1]) + 2, include_dashboard=False, log_to_driver=False)
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclasses.dataclass
class Times:
    """Of one way to run, with one number of workers."""

    few: float
    many: float

    def rate(self, few_rows: int, rows: int) -> float:
        """Rows a second, without the start."""
        return (rows - few_rows) / (self.many - self.few)

    def start(self, few_rows: int, rows: int) -> float:
        return max(self.few - few_rows / self.rate(few_rows, rows), 0.0)


def write_rows(folder: pathlib.Path, rows: int) -> None:
    folder.mkdir()
    chance = random.Random(1)
    for file in range(FILES):
        with open(folder / f"{file:02}.jsonl", "w", encoding="utf-8") as out:
            for i in range(file, rows, FILES):
                out.write(json.dumps({"id": i, "text": " ".join(chance.choices(WORDS, k=chance.randint(8, 40)))}) + "\n")


def bytes_of(folder: pathlib.Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def commands(program: str, model: str, workers: int, rows: pathlib.Path, output: pathlib.Path) -> dict[str, list[str]]:
    import pyspark

    home = pathlib.Path(pyspark.__file__).parent
    spark = [str(home / "bin/spark-submit"), "--master", f"local-cluster[{workers},1,1024]", "--conf", "spark.ui.enabled=false",
             "--conf", "spark.sql.files.openCostInBytes=0", "--conf", f"spark.sql.files.maxPartitionBytes={bytes_of(rows) // 8}"]  # fmt: skip
    return {
        "the program": [program, "embed", model, "--engine", "cpu", "--threads", str(workers), "-i", str(rows), "-o", str(output)],
        "Ray": [sys.executable, "-c", RAY, str(workers), str(EXAMPLES / "ray_embed.py"), model, str(rows), str(output), "--workers", str(workers)],
        "Spark": [*spark, str(EXAMPLES / "spark_embed.py"), model, str(rows), str(output)],
    }  # fmt: skip


def seconds(command: list[str], output: pathlib.Path) -> float:
    shutil.rmtree(output, ignore_errors=True)
    begin = time.monotonic()
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: status {done.returncode}: {done.stderr[-2000:]}")
    return time.monotonic() - begin


def measure(program: str, model: str, rows: int, rounds: int, scratch: pathlib.Path) -> tuple[dict[tuple[str, int], Times], float]:
    """Times by way and workers, and bytes of a row: read and written."""
    sizes = {"few": rows // 10, "many": rows}
    for size, count in sizes.items():
        write_rows(scratch / size, count)
    output, found, row_bytes = scratch / "output", {}, 0.0
    for _ in range(rounds):
        for workers in WORKERS:
            for size in sizes:
                for way, command in commands(program, model, workers, scratch / size, output).items():
                    times = found.setdefault((way, workers), Times(float("inf"), float("inf")))
                    setattr(times, size, min(getattr(times, size), seconds(command, output)))
                    if size == "many":
                        row_bytes = max(row_bytes, (bytes_of(scratch / size) + bytes_of(output)) / rows)
    for (way, workers), times in found.items():
        if times.many < 1.5 * times.few:  # the difference would be noise of the start
            raise SystemExit(f"{way}, {workers} workers: {times.few:.1f} s for {rows // 10} rows, {times.many:.1f} s for {rows}; give more --rows")
    return found, row_bytes


def section(found: dict[tuple[str, int], Times], row_bytes: float, rows: int, storage: float, model: str) -> str:
    few, ways = rows // 10, list(dict.fromkeys(way for way, _ in found))
    lines = [
        "## How fast, and what more machines would give",
        "",
        f"Measured by `tools/bench_clusters.py` with {pathlib.Path(model).name}, {rows} rows of 8 to 40 words, {os.cpu_count()} cores, a thread a worker:",
        "",
        "| | rows/s, 1 worker | rows/s, 2 workers | start, s | lost to each further worker |",
        "|---|---|---|---|---|",
    ]  # fmt: skip
    lost = {}
    for way in ways:
        one, two = (found[way, w].rate(few, rows) for w in WORKERS)
        lost[way] = max(2 * one / two - 1, 0.0)
        lines.append(f"| {way} | {one:.0f} | {two:.0f} | {found[way, 2].start(few, rows):.1f} | {100 * lost[way]:.1f} % |")
    lines += [
        "",
        "**Predicted, not measured**, for workers with a core each on machines like this one:",
        "",
        f"| | {' | '.join(f'rows/s, {w} workers' for w in PREDICTED)} |",
        f"|---|{'---|' * len(PREDICTED)}",
    ]
    for way in ways[1:]:
        rate = found[way, 1].rate(few, rows)
        limited = [min(w * rate / (1 + lost[way] * (w - 1)), storage / row_bytes) for w in PREDICTED]
        lines.append(f"| {way} | {' | '.join(f'{r:.0f}' for r in limited)} |")
    lines += [
        "",
        f"Assumptions: `W` workers give `W r / (1 + s (W - 1))` rows/s, with `r` the rate of one worker and `s` the share that the second lost. Here",
        f"two workers also share memory and the driver's cores, which workers on machines of their own do not, so `s` is too high for them. A driver",
        f"that is too slow for many workers is not in the model. Storage gives {storage / 1e9:.1f} GB/s to all workers together; a row takes {row_bytes:.0f} bytes,",
        f"read and written, so it limits all to {storage / row_bytes:.0f} rows/s. Rows are spread evenly, and no worker dies.",
    ]  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--storage", type=float, default=1e9, help="bytes/s of the storage that all workers share (an assumption)")
    options = parser.parse_args()
    program, model = (os.path.abspath(p) for p in (options.program, options.model))
    with tempfile.TemporaryDirectory(prefix="bench-clusters-") as scratch:
        found, row_bytes = measure(program, model, options.rows, options.rounds, pathlib.Path(scratch))
    print(section(found, row_bytes, options.rows, options.storage, model))


if __name__ == "__main__":
    main()
