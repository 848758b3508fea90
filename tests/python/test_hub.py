"""Models by their names on the hub, from the server of tests/hub_server.py."""

import pathlib
import pickle
import shutil
import subprocess
import sys

import mlx_encoder
import numpy as np
import pytest

SERVER = pathlib.Path(__file__).resolve().parents[1] / "hub_server.py"


@pytest.fixture
def hub(tmp_path, monkeypatch, tiny):
    """A hub with the repository org/tiny."""
    shutil.copytree(tiny("st_mean_norm"), tmp_path / "repositories/org/tiny")
    command = [sys.executable, SERVER, tmp_path / "repositories", tmp_path / "rules", tmp_path / "log"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.stdout.readline().split()[0]}")
        monkeypatch.delenv("HF_HUB_OFFLINE")
        yield tmp_path
        server.terminate()


def test_a_name_is_downloaded_once(hub, load):
    cache = hub / "cache"
    with pytest.raises(mlx_encoder.NotFoundError):
        mlx_encoder.Encoder("org/tiny", cache_folder=cache, local_files_only=True)
    encoder = mlx_encoder.Encoder("org/tiny", cache_folder=cache)
    assert np.array_equal(encoder.encode("A road"), load("st_mean_norm").encode("A road"))
    assert pathlib.Path(encoder.info.folder).is_relative_to(cache)
    requests = (hub / "log").read_text()
    mlx_encoder.Encoder("org/tiny", cache_folder=cache, local_files_only=True)
    assert (hub / "log").read_text() == requests
    with pytest.raises(mlx_encoder.NotFoundError, match="org/other"):
        mlx_encoder.Encoder("org/other", cache_folder=cache)
    with pytest.raises(mlx_encoder.NotFoundError, match="no-such-branch"):
        mlx_encoder.Encoder("org/tiny", cache_folder=cache, revision="no-such-branch")


def test_a_pickle_names_the_commit(hub, load):
    encoder = mlx_encoder.Encoder("org/tiny", cache_folder=hub / "cache", revision="main")
    commit = pathlib.Path(encoder.info.folder).name
    assert encoder._arguments["model_name_or_path"] == f"org/tiny@{commit}" and len(commit) == 40
    again = pickle.loads(pickle.dumps(encoder))
    assert again.info.folder == encoder.info.folder
    assert np.array_equal(again.encode("A road"), load("st_mean_norm").encode("A road"))


def test_a_conversion_is_uploaded(hub, tiny, monkeypatch):
    out = hub / "8bit"
    with pytest.raises(mlx_encoder.UsageError, match="token"):
        mlx_encoder.convert(tiny("st_mean_norm"), out, quantize=True, q_group_size=32, upload_repo="org/small")
    monkeypatch.setenv("HF_TOKEN", "SECRET")
    with pytest.raises(mlx_encoder.UsageError, match="dry_run"):
        mlx_encoder.convert(tiny("st_mean_norm"), out, upload_repo="org/small", dry_run=True)
    assert not out.exists()
    made = mlx_encoder.convert(tiny("st_mean_norm"), out, quantize=True, q_group_size=32, upload_repo="org/small")
    assert made.uploaded.url.endswith("org/small") and len(made.uploaded.commit) == 40
    again = mlx_encoder.Encoder("org/small", cache_folder=hub / "cache")
    assert np.array_equal(again.encode("A road"), mlx_encoder.Encoder(out).encode("A road"))
