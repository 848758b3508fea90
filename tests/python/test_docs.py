"""The examples of docs/python.md, docs/corpora.md and README.md run. Those with a cluster: tests/clusters."""

import json
import pathlib
import re
import subprocess
import sys
import textwrap

import mlx_encoder
import pytest
from conftest import PROGRAM

ROOT = pathlib.Path(__file__).resolve().parents[2]


def examples(page):
    """The Python of a page, in its order, as one program."""
    return "\n".join(re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(), re.M | re.S))


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("page", "least"), [("docs/python.md", 6), ("README.md", 1)])
def test_examples_run(page, least, minilm, tmp_path, monkeypatch):
    code = examples(page)
    assert code.count("\n\n") >= least
    (tmp_path / "all-MiniLM-L6-v2").symlink_to(minilm)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, page, "exec"), {})


@pytest.fixture
def corpus(minilm, tmp_path, monkeypatch):
    """The working directory of the page: minilm-8bit and a corpus of three files."""
    mlx_encoder.convert(minilm, tmp_path / "minilm-8bit", quantize=True)
    (tmp_path / "corpus/a").mkdir(parents=True)
    (tmp_path / "corpus/a/1.jsonl").write_text('{"text": "The sky is blue."}\n')
    (tmp_path / "corpus/b.tsv").write_text("id\ttext\n1\tBees live in hives.\n2\tStocks fell.\n")
    (tmp_path / "corpus/sample.txt").write_text("One road.\nTwo roads.\nThree roads.\nFour roads.\n")
    monkeypatch.chdir(tmp_path)


def test_examples_of_corpora_run(corpus, tmp_path):
    page = (ROOT / "docs/corpora.md").read_text()
    commands = re.findall(r"^mlx-encoder (.*)$", page, re.M)
    assert len(commands) == 5
    for command in commands:
        done = subprocess.run(f"{PROGRAM} {command}", shell=True, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    (line,) = re.findall(r"^```json\n(.*)\n```$", page, re.M)
    record = (tmp_path / "vectors/corpus.jsonl").read_text().splitlines()
    assert len(record) == 4 and json.loads(line).keys() == json.loads(record[1]).keys()
    code = examples("docs/corpora.md")
    (tmp_path / "example.py").write_text(f"if __name__ == '__main__':\n{textwrap.indent(code, '    ')}")
    done = subprocess.run([sys.executable, "-W", "error", "example.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
