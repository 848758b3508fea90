"""The commands of docs/corpora.md on local clusters of Ray and Spark, of which a process is killed on the way: `make test-clusters`.

The output must be complete, have no row twice, and the bits of Encoder.encode."""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import mlx_encoder
import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="needs tools/requirements-clusters.txt")
from pyarrow import dataset, parquet  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = str(ROOT / "tests/data/tiny/st_mean_norm")
FILES, ROWS = 16, 250
TEXTS = [f"The road number {i} is long and {'very ' * (i % 7)}warm." for i in range(FILES * ROWS)]


def write_input(folder, ending):
    """Files of ids and texts. Ids are not in order, and another column is in the way."""
    folder.mkdir()
    for file in range(FILES):
        rows = [{"id": i, "source": "x", "text": TEXTS[i]} for i in range(file, len(TEXTS), FILES)]
        if ending == "parquet":
            parquet.write_table(pa.Table.from_pylist(rows), folder / f"{file}.parquet")
        else:
            (folder / f"{file}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def words_of_page(program):
    """The words of the page's command that begins with `program`; the script among them can be found."""
    (command,) = re.findall(f"^{program} .*$", (ROOT / "docs/corpora.md").read_text(), re.M)
    return [str(ROOT / word) if word.startswith("examples/") else word for word in shlex.split(command)]


def run(command, ending, tmp_path, parents, environment):
    """Runs a command over rows with the hook; returns the killed process's command, and how many processes embedded."""
    write_input(tmp_path / "rows", ending)
    (tmp_path / "minilm-8bit").symlink_to(MODEL)
    calls = tmp_path / "calls"
    calls.mkdir()
    environment = {
        **os.environ,
        **environment,
        "PYTHONPATH": str(ROOT / "tests/clusters/hook"),
        "MLXE_TEST_CALLS": str(calls),
        "MLXE_TEST_PARENTS": str(parents),
    }
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return (calls / "killed").read_text(), sum(p.name != "killed" for p in calls.iterdir())


def check(output):
    table = dataset.dataset(output, format="parquet").to_table().sort_by("id")
    assert table.column_names == ["id", "embedding"]
    assert table["id"].to_pylist() == list(range(len(TEXTS)))
    expected = mlx_encoder.Encoder(MODEL).encode(TEXTS)
    values = table["embedding"].combine_chunks().flatten().to_numpy()
    assert values.dtype == np.float32 and values.tobytes() == expected.tobytes()


# Ray's workers are nice (15); on a busy machine they would get no time.
RAY_ENVIRONMENT = {"RAY_ADDRESS": "local", "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0"}
# Of Ray's three cores one is for reading and writing.
RAY = """
import ray, runpy, sys
ray.init(num_cpus=3, object_store_memory=200 << 20, include_dashboard=False)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_ray_workers_that_leave_no_core_are_refused(tmp_path):
    pytest.importorskip("ray")
    _, *words = words_of_page("python")
    command = [sys.executable, *words, "--threads", "1000"]
    done = subprocess.run(command, env={**os.environ, **RAY_ENVIRONMENT}, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and "2 workers with 1000 threads leave none of the" in done.stderr


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_ray_replaces_an_actor_that_was_killed(ending, tmp_path):
    pytest.importorskip("ray")
    _, *words = words_of_page("python")
    killed, processes = run([sys.executable, "-c", RAY, *words], ending, tmp_path, 0, RAY_ENVIRONMENT)
    assert killed.startswith("ray::MapWorker") and processes >= 2  # one in its place
    check(tmp_path / "vectors-ray")


@pytest.mark.parametrize(("victim", "parents", "ending"), [("pyspark.daemon", 0, "jsonl"), ("ExecutorBackend", 2, "parquet")])
def test_spark_computes_a_partition_again_whose_process_was_killed(victim, parents, ending, tmp_path):
    pyspark = pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    home = pathlib.Path(pyspark.__file__).parent
    settings = {  # many partitions, each of several batches
        "spark.sql.execution.arrow.maxRecordsPerBatch": 64,
        "spark.sql.files.openCostInBytes": 0,
        "spark.sql.files.maxPartitionBytes": 20000,
        "spark.ui.enabled": "false",
    }
    _, *words = words_of_page("spark-submit")
    options = [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
    environment = {"SPARK_HOME": str(home), "PYSPARK_PYTHON": sys.executable}
    killed, processes = run([str(home / "bin/spark-submit"), *options, *words], ending, tmp_path, parents, environment)
    assert victim in killed and processes >= 2
    check(tmp_path / "vectors-spark")
