"""Fixtures of the tests of the Python package. They test the installed package: `make test-python`."""

import json
import pathlib
import subprocess

import numpy as np
import pytest

import mlx_encoder

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build/release/mlx-encoder"
TINY = ROOT / "tests/data/tiny"


def pytest_sessionfinish(session, exitstatus):
    """A run in which no test passed is no success."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == 0 and not reporter.stats.get("passed"):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """No test asks the hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def tiny():
    """The path of a tiny model."""
    return lambda name: str(TINY / name)


@pytest.fixture(scope="session")
def load():
    """A tiny model, loaded once."""
    loaded = {}

    def get(name):
        if name not in loaded:
            loaded[name] = mlx_encoder.Encoder(TINY / name)
        return loaded[name]

    return get


@pytest.fixture(scope="session")
def minilm():
    """The folder of the real all-MiniLM-L6-v2."""
    python = ROOT / ".venv/bin/python"
    found = python.exists() and subprocess.run([python, ROOT / "tools/find_minilm.py"], capture_output=True, text=True)
    if not found or found.returncode != 0:
        pytest.skip("all-MiniLM-L6-v2 was not found; run `make deps`")
    return found.stdout.strip()


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """Runs mlx-encoder; returns the JSON objects that it prints, or the array that it writes with `embed`."""

    def run(*arguments):
        command = [str(PROGRAM), *map(str, arguments)]
        if arguments[0] == "embed":
            file = tmp_path_factory.mktemp("vectors") / "x.npy"
            subprocess.run([*command, "-o", str(file)], check=True, capture_output=True)
            return np.load(file)
        done = subprocess.run([*command, "--json"], capture_output=True, text=True)
        assert done.returncode in (0, 3), done.stderr
        try:
            return [json.loads(done.stdout)]
        except json.JSONDecodeError:
            return [json.loads(line) for line in done.stdout.splitlines()]

    return run
