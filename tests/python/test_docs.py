"""The examples of pages run."""

import pathlib
import re

import pytest

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


def test_the_page_for_users_of_sentence_transformers(minilm, tiny, tmp_path, monkeypatch):
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed: make test-integrations TORCH=1")
    (tmp_path / "reranker").symlink_to(tiny("bert_regression"))
    test_examples_run("docs/from-sentence-transformers.md", 10, minilm, tmp_path, monkeypatch)
