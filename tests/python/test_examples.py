"""The programs of examples/python run, and docs/integrations.md shows them."""

import importlib.util
import pathlib
import re
import runpy
import sqlite3
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples/python"
INSECTS = "Bees live in hives."

# Program, the package that it needs, and what it prints.
PROGRAMS = {
    "evaluator": ("sentence_transformers", "minilm-8bit 1.0"),
    "faiss_search": ("faiss", f"0.530 {INSECTS}\n{INSECTS}\n"),
    "haystack_search": ("haystack", INSECTS),
    "lancedb_search": ("lancedb", f"0.530 {INSECTS}"),
    "langchain_search": ("langchain_core", INSECTS),
    "llama_index_search": ("llama_index", INSECTS),
    "mteb_task": ("mteb", "0.99999"),
    "sklearn_classifier": ("sklearn", "['good' 'bad']"),
    "sqlite_vec_search": ("sqlite_vec", f"0.530 {INSECTS}"),
    "txtai_search": ("txtai", f"0.530 {INSECTS}"),
    "usearch_search": ("usearch", f"f32 0.53 {INSECTS}\ni8 0.53 {INSECTS}\nb1 {INSECTS}\n"),
}


@pytest.fixture
def folder(minilm, tmp_path, monkeypatch):
    """The working folder, with the model."""
    (tmp_path / "all-MiniLM-L6-v2").symlink_to(minilm)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_shows_every_program():
    page = (ROOT / "docs/integrations.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"\]\(\.\./examples/python/(\w+)\.py\)[^`]*\n\n```python\n(.*?)^```$", page, re.M | re.S))
    assert shown == {name: (EXAMPLES / f"{name}.py").read_text(encoding="utf-8") for name in PROGRAMS}
    assert {p.stem for p in EXAMPLES.glob("*.py")} == {*PROGRAMS, "search", "ray_embed", "spark_embed"}
    assert all(len(text.splitlines()) < 40 for text in shown.values())


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_runs(name, folder, monkeypatch, capsys):
    package, printed = PROGRAMS[name]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: make test-integrations, with TORCH=1 if it needs torch")
    if package == "sqlite_vec" and not hasattr(sqlite3.Connection, "enable_load_extension"):
        monkeypatch.setitem(sys.modules, "sqlite3", pytest.importorskip("pysqlite3", reason="this Python's sqlite3 loads no extensions"))
    runpy.run_path(str(EXAMPLES / f"{name}.py"))
    assert printed in capsys.readouterr().out


def search(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["search.py", *arguments])
    runpy.run_path(str(EXAMPLES / "search.py"), run_name="__main__")


def test_search_in_a_folder(folder, monkeypatch, capsys):
    (folder / "texts/deep").mkdir(parents=True)
    (folder / "texts/sky.txt").write_text("The sky\nis blue.\n\nStocks fell on Monday.\n")
    (folder / "texts/deep/bees.md").write_text("\n\n# Bees\n\nBees live in hives.\n")
    (folder / "texts/no.json").write_text('"Insects dwell in hives."')
    search(monkeypatch, "index", "texts", "--model", "all-MiniLM-L6-v2")
    assert capsys.readouterr().out == "4 paragraphs of 2 files: texts.npz\n"
    search(monkeypatch, "query", "Where do insects dwell?", "--top-k", "2")
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"0\.53\d texts/deep/bees\.md:5: Bees live in hives\.", first) and "bees.md:3: # Bees" in second
    search(monkeypatch, "query", "What colour is the sky?", "--top-k", "1")
    assert "texts/sky.txt:1: The sky is blue." in capsys.readouterr().out
    with pytest.raises(SystemExit, match="search.py: .*none.npz"):
        search(monkeypatch, "query", "x", "--index", "none.npz")
    (folder / "empty").mkdir()
    with pytest.raises(SystemExit, match="search.py: empty: found no paragraph"):
        search(monkeypatch, "index", "empty", "--model", "all-MiniLM-L6-v2")
    assert not (folder / "texts.npz.part").exists()
