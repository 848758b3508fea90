"""Writes docs/findings.md and docs/findings.json from real runs (`make findings`).

    python tools/make_findings.py [--program build/release/mlx-encoder] [--minilm DIR] [--shared ../shared] [--fresh]
                                  [--only-matrix [--measured-only]]

Converts the real all-MiniLM-L6-v2 and, where ../shared is there, a real NLI DistilBERT in every scheme, compares each with its
original, plans a full-size DistilBERT, and runs tools/findings.toml: plain, calibrated, mixed. What ran is kept in build/findings, so a second run is quick. Nothing else should
run meanwhile: memory and time are measured too.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import findings_matrix
from findings_lab import SCHEMES, Lab, partial

ROOT = pathlib.Path(__file__).resolve().parents[1]
# The classifier's 2,490 pairs take minutes a scheme: only those a user would choose from.
NLI_SCHEMES = ["float16", "8-bit", "6-bit", "5-bit", "4-bit", "int8", "fake"]
MIB = 1 << 20


def mib(count):
    return f"{count / MIB:.1f}"


def row(*cells):
    return "| " + " | ".join(str(c) for c in cells) + " |"


def table(header, rows):
    return "\n".join([row(*header), row(*["---"] + ["---:"] * (len(header) - 1)), *rows])


def cosine_cells(difference):
    c = difference["cosine"]
    return [f"{c['mean']:.5f}", f"{c['p1']:.4f}", f"{c['min']:.4f}"]


def vector_cells(compared):
    v = compared["vectors"]
    return [f"{v['relative_error']:.4f}", f"{100 * v['neighbours_kept']:.1f}"]


def similarity_row(trial):
    c = trial["compare"]
    size = c["size"]["quantized"]
    return row(trial["name"], mib(size["weight_bytes"]), f"{size['bits_per_weight']:.2f}", *cosine_cells(c["output"]),
               *vector_cells(c), f"{100 * c['task']['spearman']['quantized']:.2f}", mib(c["memory"]["quantized"]["peak_bytes"]))


def label_row(trial):
    c = trial["compare"]
    size = c["size"]["quantized"]
    return row(trial["name"], mib(size["weight_bytes"]), f"{size['bits_per_weight']:.2f}",
               f"{100 * c['task']['accuracy']['quantized']:.2f}", f"{100 * c['task']['macro_f1']['quantized']:.2f}",
               f"{100 * c['labels']['flip_rate']:.2f}", f"{c['output']['cosine']['mean']:.4f}",
               f"{c['output']['mse']:.1e}", mib(c["memory"]["quantized"]["peak_bytes"]))


def converter_outcome(run):
    options = " ".join(run["options"]) or "no options"
    if run["exit_status"]:
        return f"with {options}: {run['error']}"
    wrote = run["wrote"]
    return (f"with {options}: {mib(wrote['files']['model.safetensors'])} MiB of {mib(run['source_bytes'])}, "
            f"{wrote['quantized_tensors']} matrices quantized")


def converter_lines(runs):
    """One line for a converter and model type; runs that differ only in their source say the same once."""
    said = {}
    for run in runs:
        said.setdefault((run["converter"], run["model_type"]), {})[converter_outcome(run)] = True
    return "\n".join(f"- `{converter}` on a `{model_type}` folder: {'; '.join(outcomes)}"
                     for (converter, model_type), outcomes in said.items())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default=ROOT / "build/release/mlx-encoder")
    parser.add_argument("--minilm")
    parser.add_argument("--shared", type=pathlib.Path, default=ROOT.parent / "shared")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build/findings")
    parser.add_argument("--converters", type=pathlib.Path, help="what tools/check_converters.py wrote")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--only-matrix", action="store_true", help="only the section that tools/findings.toml makes")
    parser.add_argument("--measured-only", action="store_true", help="of that section only what was measured before")
    a = parser.parse_args()
    minilm = a.minilm or subprocess.run([sys.executable, ROOT / "tools/find_minilm.py"], capture_output=True, text=True,
                                        check=True).stdout.strip()
    if not (a.shared / "data/stsb-test.tsv").exists():
        sys.exit("findings need ../shared/data (STS-B, XNLI) and ../shared/models/distilbert-nli")
    lab = Lab(a.program, a.work, a.fresh)
    for short, target in {"minilm": minilm, "distilbert-nli": a.shared / "models/distilbert-nli",
                          "minilm-ner": a.shared / "models/minilm-ner",
                          **{name: a.shared / "data" / name for name in ("stsb-test.tsv", "stsb-train.tsv", "nli-dev.tsv",
                                                                         "nli-calibration.tsv", "wnut17-dev.conll", "wnut17-test.conll")}}.items():
        lab.name(short, target)
    matrix = findings_matrix.run(lab, ROOT / "tools/findings.toml", a.fresh, a.measured_only)
    if a.only_matrix:
        findings_matrix.write(ROOT / "docs/findings.md", ROOT / "docs/findings.json", matrix)
        return
    if not (a.work / "distilbert").exists():
        subprocess.run([sys.executable, ROOT / "tools/make_random_distilbert.py", a.work / "distilbert"], check=True)

    sts = [lab.trial("minilm", name, options, "stsb-test.tsv") for name, options in SCHEMES.items()]
    parts = {bits: [lab.trial("minilm", f"{bits}-bit {name}", options, "stsb-test.tsv")
                    for name, options in partial("bert", bits).items()] for bits in (8, 4)}
    nli = [lab.trial("distilbert-nli", name, SCHEMES[name], "nli-dev.tsv") for name in NLI_SCHEMES]
    plans = {name: lab.run("convert", "distilbert", "--mlx-path", "unused", *options, "--dry-run")
             for name, options in SCHEMES.items()}

    original = sts[0]["compare"]
    nli_original = nli[0]["compare"]
    sizes = table(["scheme", "MiB", "bits per weight"],
                  [row(name, mib(p["result"]["predicted_bytes"]), f"{p['result']['bits_per_weight']:.2f}")
                   for name, p in plans.items()])
    vector_columns = ["cosine mean", "1st percentile", "minimum", "relative error", "neighbours %", "Spearman", "peak MiB"]
    sts_table = table(["scheme", "MiB", "bits per weight", *vector_columns],
                      [similarity_row(t) for t in sts])
    part_tables = {bits: table(["what is quantized", "MiB", "bits per weight", *vector_columns],
                               [similarity_row(t) for t in trials]) for bits, trials in parts.items()}
    nli_table = table(["scheme", "MiB", "bits per weight", "accuracy", "macro-F1", "flips %", "logit cosine", "logit MSE",
                       "peak MiB"], [label_row(t) for t in nli])
    converters = converter_lines(json.loads(a.converters.read_text())["runs"]) if a.converters else \
        "(run `tools/check_converters.py` and pass its file with `--converters`)"

    text = (ROOT / "tools/findings.md.in").read_text().format(
        version=original["version"], machine=original["machine"], engine=original["models"]["quantized"]["variant"],
        spearman=f"{100 * original['task']['spearman']['original']:.2f}",
        minilm_mib=mib(original["size"]["original"]["weight_bytes"]),
        minilm_peak=mib(original["memory"]["original"]["peak_bytes"]),
        accuracy=f"{100 * nli_original['task']['accuracy']['original']:.2f}",
        f1=f"{100 * nli_original['task']['macro_f1']['original']:.2f}",
        sizes=sizes, sts=sts_table, part8=part_tables[8], part4=part_tables[4], nli=nli_table, converters=converters,
        matrix=findings_matrix.section(matrix),
        commands="\n".join(f"    {c}" for c in sts[1]["commands"] + nli[1]["commands"]))
    (ROOT / "docs/findings.md").write_text(text)
    slim = lambda t: {"name": t["name"], "commands": t["commands"],  # noqa: E731
                      **{k: t["compare"][k] for k in ("output", "vectors", "task", "size", "memory", "latency_ms", "verdict")
                         if k in t["compare"]}}
    (ROOT / "docs/findings.json").write_text(json.dumps(
        {"machine": original["machine"], "version": original["version"], "minilm": [slim(t) for t in sts],
         "partial": {str(bits): [slim(t) for t in trials] for bits, trials in parts.items()},
         "distilbert_nli": [slim(t) for t in nli], "matrix": findings_matrix.slim(matrix),
         "distilbert_sizes": {n: {"command": p["command"], "bytes": p["result"]["predicted_bytes"]} for n, p in plans.items()}},
        indent=1) + "\n")


if __name__ == "__main__":
    main()
