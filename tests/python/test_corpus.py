"""embed_corpus: the program's files, to the byte; resuming after Ctrl-C; what it refuses; the examples of docs/corpora.md (those with a
cluster: tests/clusters)."""

import json
import pathlib
import re
import subprocess
import sys
import textwrap

import mlx_encoder
import numpy as np
import pytest
from conftest import PROGRAM, ROOT
from test_calls import run_python
from test_docs import examples


@pytest.fixture
def corpus(tmp_path):
    """Files of 8, 0 and 5 texts, and one of 3 in a folder."""
    folder = tmp_path / "texts"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("".join(f"the cat {i} sat on the road\n" for i in range(8)))
    (folder / "b.txt").write_text("")
    (folder / "c.tsv").write_text("id\ttext\n" + "".join(f"{i}\tthe dog {i} ran\n" for i in range(5)))
    (folder / "deep/d.jsonl").write_text("".join(json.dumps({"text": f"house {i}"}) + "\n" for i in range(3)))
    return folder


def files(folder):
    """All files below a folder, by name."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def of_program(model, corpus, output, *options):
    """What the program writes, and the JSON that it prints."""
    command = [PROGRAM, "embed", model, "--engine", "cpu", "-i", corpus, "-o", output, "--json", *map(str, options)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


RANGES = np.stack([np.full(32, -0.5), np.full(32, 0.5)])


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ({}, []),
        ({"precision": "float16", "normalize_embeddings": True, "truncate_dim": 8}, ["--precision", "float16", "--normalize", "--dim", 8]),
        ({"precision": "uint8", "ranges": RANGES}, ["--precision", "uint8", "--ranges", "r.npy"]),
        ({"prompt": "x ", "output_format": "jsonl", "text_column": "text"}, ["--prompt", "x ", "--output-format", "jsonl", "--text-column", "text"]),
        ({"chunk_size": 6, "chunk_overlap": 1, "late_chunking": True}, ["--chunk", "6:1", "--late-chunking"]),
    ],
)  # fmt: skip
def test_the_files_are_the_program_s(arguments, options, load, tiny, corpus, tmp_path):
    if "text_column" in arguments:
        for name in ("a.txt", "b.txt"):
            (corpus / name).unlink()
    np.save(tmp_path / "r.npy", RANGES)
    options = [tmp_path / o if o == "r.npy" else o for o in options]
    expected = of_program(tiny("st_mean_norm"), corpus, tmp_path / "expected", *options)
    found = mlx_encoder.embed_corpus(load("st_mean_norm"), corpus, tmp_path / "found", **arguments)
    assert found.to_dict() == {**expected, "output": str(tmp_path / "found")}
    assert repr(found).startswith("EmbeddedCorpus(output=")
    assert files(tmp_path / "found") == files(tmp_path / "expected")
    assert len(files(tmp_path / "found")) == found.files + 1


def test_queries_documents_and_prompts_are_those_of_encode(tiny, corpus, tmp_path):
    encoder = mlx_encoder.Encoder(tiny("st_mean_norm"), prompts={"own": "the road "}, truncate_dim=16)
    texts = (corpus / "a.txt").read_text().splitlines()
    for i, (arguments, expected) in enumerate([
        ({}, encoder.encode(texts)),
        ({"task": "query"}, encoder.encode_query(texts)),
        ({"prompt_name": "own"}, encoder.encode(texts, prompt_name="own")),
    ]):  # fmt: skip
        mlx_encoder.embed_corpus(encoder, corpus, tmp_path / str(i), **arguments)
        assert np.array_equal(np.load(tmp_path / str(i) / "a.txt.npy"), expected)


def test_it_goes_on_and_does_new_files_alone(load, corpus, tmp_path):
    first = mlx_encoder.embed_corpus(load("st_mean_norm"), corpus, tmp_path / "v")
    (corpus / "e.txt").write_text("the dog\n")
    again = mlx_encoder.embed_corpus(load("st_mean_norm"), corpus, str(tmp_path / "v"))
    assert (first.files, first.files_before, again.files, again.files_before, again.rows) == (4, 0, 5, 4, 17)


def test_the_record_names_what_decides_on_the_bits(load, corpus, tmp_path):
    info = load("st_mean_norm").info
    mlx_encoder.embed_corpus(load("st_mean_norm"), corpus, tmp_path / "v")
    key = json.loads((tmp_path / "v/corpus.jsonl").read_text().splitlines()[0])
    assert (key["engine"], key["activations"], key["max_length"]) == (info.engine, info.activations, info.max_tokens)
    assert len(key["model"]) == 64 and key["mlx_encoder"] == mlx_encoder.__version__


def test_progress_is_in_bytes(load, corpus, tmp_path, capsys):
    mlx_encoder.embed_corpus(load("st_mean_norm"), corpus, tmp_path / "v", show_progress_bar=True)
    size = sum(p.stat().st_size for p in corpus.rglob("*") if p.is_file())
    assert f"{size}/{size}" in capsys.readouterr().err


def test_what_is_left_out_or_truncated_is_said(load, tiny, corpus, tmp_path):
    (corpus / "README.md").write_text("# texts\n")
    with pytest.warns(mlx_encoder.EncoderWarning, match="is left out: README.md") as told:
        mlx_encoder.embed_corpus(load("st_mean_norm"), corpus, tmp_path / "v")
    assert told[0].filename == __file__
    short = mlx_encoder.Encoder(tiny("st_mean_norm"), max_seq_length=4)
    with pytest.warns(mlx_encoder.EncoderWarning, match="of 16 texts were truncated"):
        found = mlx_encoder.embed_corpus(short, corpus, tmp_path / "w")
    assert found.truncated > 1


def test_what_cannot_be_done_is_one_sentence(load, corpus, tmp_path):
    encoder = load("st_mean_norm")
    for arguments, sentence in [
        ({"precision": "int8"}, "needs ranges that are the same for all files"),
        ({"ranges": RANGES}, "float32 has none"),
        ({"precision": "int8", "ranges": RANGES[::-1]}, "the lower ones first"),
        ({"precision": "int8", "ranges": RANGES[:, :8]}, "8 columns"),
        ({"chunk_overlap": 3}, "need chunk_size"),
        ({"prompt_name": "nope"}, "nope"),
        ({"output_format": "csv"}, "csv"),
    ]:
        with pytest.raises(mlx_encoder.UsageError, match=sentence):
            mlx_encoder.embed_corpus(encoder, corpus, tmp_path / "v", **arguments)
        assert not (tmp_path / "v").exists()
    with pytest.raises(FileNotFoundError):
        mlx_encoder.embed_corpus(encoder, tmp_path / "nothing", tmp_path / "v")
    mlx_encoder.embed_corpus(encoder, corpus, tmp_path / "v")
    with pytest.raises(mlx_encoder.UsageError, match="made with dimension 32, this run has 8"):
        mlx_encoder.embed_corpus(encoder, corpus, tmp_path / "v", truncate_dim=8)


def test_ranges_of_another_type_are_other_settings(load, corpus, tmp_path):
    # NumPy computes with float32 or float64, as the ranges are, and that gives other codes.
    encoder = load("st_mean_norm")
    mlx_encoder.embed_corpus(encoder, corpus, tmp_path / "v", precision="int8", ranges=RANGES)
    with pytest.raises(mlx_encoder.UsageError, match="made with ranges"):
        mlx_encoder.embed_corpus(encoder, corpus, tmp_path / "v", precision="int8", ranges=RANGES.astype(np.float32))


def test_ctrl_c_leaves_a_folder_to_go_on_from(minilm, tmp_path):
    # Minutes of work in one file after a file that is done soon. As for encode(), the best of three tries counts.
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.txt").write_text("a road\n")
    long = "".join(f"number {i} " + "a road is long and warm " * 40 + "\n" for i in range(20000))
    (texts / "b.txt").write_text(long)
    code = """
        encoder = mlx_encoder.Encoder(sys.argv[1])
        expected = encoder.encode("a road").tobytes()
        for _ in range(3):
            start_timer(0.5)
            try:
                mlx_encoder.embed_corpus(encoder, sys.argv[2], sys.argv[3])
                sys.exit("was not interrupted")
            except KeyboardInterrupt:
                print(time.monotonic() - sent[-1])
            assert encoder.encode("a road").tobytes() == expected
        open(os.path.join(sys.argv[2], "b.txt"), "w").write("a house\\n")
        print(mlx_encoder.embed_corpus(encoder, sys.argv[2], sys.argv[3]).rows)
        """
    *delays, rows = run_python(code, minilm, texts, tmp_path / "v")
    assert len(delays) == 3 and min(map(float, delays)) < 0.2
    assert rows == "2" and sorted(files(tmp_path / "v")) == ["a.txt.npy", "b.txt.npy", "corpus.jsonl"]
    encoder = mlx_encoder.Encoder(minilm)
    assert np.array_equal(np.load(tmp_path / "v/b.txt.npy")[0], encoder.encode("a house"))
    assert not list(pathlib.Path(tmp_path).glob(".*"))  # the lock


@pytest.fixture
def page_folder(minilm, tmp_path, monkeypatch):
    """The working directory of docs/corpora.md: minilm-8bit and a corpus of three files."""
    mlx_encoder.convert(minilm, tmp_path / "minilm-8bit", quantize=True)
    (tmp_path / "corpus/a").mkdir(parents=True)
    (tmp_path / "corpus/a/1.jsonl").write_text('{"text": "The sky is blue."}\n')
    (tmp_path / "corpus/b.tsv").write_text("id\ttext\n1\tBees live in hives.\n2\tStocks fell.\n")
    (tmp_path / "corpus/sample.txt").write_text("One road.\nTwo roads.\nThree roads.\nFour roads.\n")
    monkeypatch.chdir(tmp_path)


def test_examples_of_corpora_run(page_folder, tmp_path):
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


def test_another_task_is_refused(load, tmp_path):
    (tmp_path / "c").mkdir()
    (tmp_path / "c/a.txt").write_text("a text\n")
    with pytest.raises(mlx_encoder.UsageError, match="task: found 'Query'"):
        mlx_encoder.embed_corpus(load("st_prompts"), tmp_path / "c", tmp_path / "v", task="Query")
    with pytest.raises(TypeError, match="expected an Encoder"):
        mlx_encoder.embed_corpus("model", tmp_path / "c", tmp_path / "v")
