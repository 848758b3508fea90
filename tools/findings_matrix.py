"""The part of docs/findings.md that `mlx-encoder matrix` measures: plain rounding, calibration, mixed precision."""

import json
import pathlib
import shutil

BEGIN, END = "<!-- tools/findings.toml: begin -->", "<!-- tools/findings.toml: end -->"
MIB = 1 << 20
TITLES = {"minilm": "all-MiniLM-L6-v2, STS-B test (calibrated on the training sentences)",
          "minilm-ner": "A MiniLM that tags entities, WNUT-17 test (calibrated on the text of dev)",
          "distilbert-nli": "A DistilBERT for NLI, XNLI English (calibrated on other pairs of it)"}


def run(lab, toml, fresh, measured_only):
    """matrix.json of the schemes in `toml`; what was measured before from the same files is not measured again."""
    shutil.copy(toml, lab.folder / "matrix.toml")
    if fresh:
        shutil.rmtree(lab.folder / "matrix", ignore_errors=True)
    return lab.run_anew("matrix", *["--dry-run"] * measured_only, accept=(0, 3))


def cells_of(result, model):
    return [c for c in result["cells"] if c["model"] == model]


def row(cells):
    return "| " + " | ".join(cells) + " |"


def table(cells, recommended):
    metric = next((c["task"]["metric"] for c in cells if "task" in c), None)
    labels = any("flips" in c for c in cells)
    vectors = any("vectors" in c.get("output", {}) for c in cells)
    header = ["scheme", "MiB", "bits per weight", "cosine mean", "1st percentile", "minimum"]
    header += ["relative error", "neighbours %"] * vectors
    header += [metric] * (metric is not None) + ["flips %"] * labels + ["gates"]
    advice = "take this one" if all("output" in c for c in cells) else "the smallest of those measured"
    rows = [row(header), row(["---"] + ["---:"] * (len(header) - 2) + ["---"])]
    for c in cells:
        if "output" not in c:
            continue
        cosine = c["output"]["cosine"]
        line = [c["scheme"].replace("-mixed", ", mixed").replace("-calibrated", ", calibrated"), f"{c['bytes'] / MIB:.1f}", f"{c['bits_per_weight']:.2f}",
                f"{cosine['mean']:.5f}", f"{cosine['p1']:.4f}", f"{cosine['min']:.4f}"]
        if vectors:
            v = c["output"].get("vectors")  # what an earlier version measured has none
            line += [f"{v['relative_error']:.4f}", f"{100 * v['neighbours_kept']:.1f}"] if v else ["", ""]
        if metric:
            line.append(f"{100 * c['task']['value']:.2f}")
        if labels:
            line.append(f"{100 * c['flips']:.2f}")
        verdict = "passed" if c["passed"] else "failed"
        rows.append(row(line + [f"**{verdict}: {advice}**" if c["scheme"] == recommended else verdict]))
    return "\n".join(rows)


def section(result):
    parts = []
    for model, recommended in result["recommended"].items():
        cells = cells_of(result, model)
        done = [c for c in cells if "output" in c]
        if not done:
            continue
        c = done[0]
        parts.append(f"### {TITLES[model]}")
        if "task" in c:
            parts.append(f"The original takes {c['original_bytes'] / MIB:.1f} MiB; its {c['task']['metric']} is "
                         f"{100 * c['task']['original']:.2f}.")
        parts.append(table(cells, recommended))
        earlier = [c for c in cells if c.get("earlier")]
        if earlier:
            date = max(c["measured_with"]["date"] for c in earlier)
            parts.append(f"Of an earlier run ({date}): {', '.join(c['scheme'] for c in earlier)}.")
        if len(done) < len(cells):
            parts.append("Not measured this time: " + ", ".join(c["scheme"] for c in cells if "output" not in c) + ".")
    used = {tuple(c["measured_with"][k] for k in ("version", "engine", "variant", "machine")) for c in result["cells"]
            if "measured_with" in c}
    parts += [f"mlx-encoder {version}, {engine} engine ({variant}), {machine}." for version, engine, variant, machine in sorted(used)]
    return "\n\n".join([BEGIN, *parts, END])


def replace(page, text):
    """`page` with what stands between the marks replaced."""
    begin, end = page.index(BEGIN), page.index(END) + len(END)
    return page[:begin] + text + page[end:]


def with_earlier(result, cells):
    """`result` with what was not measured this time as it was: plain rounding alone, as calibration may have changed."""
    earlier = {(c["model"], c["scheme"]): c for c in cells if "calibrated" not in c["scheme"]}
    merged = []
    for c in result["cells"]:
        before = earlier.get((c["model"], c["scheme"]))
        merged.append({**before, "earlier": True} if "output" not in c and before else c)
    recommended = dict(result["recommended"])
    for model in {c["model"] for c in merged if c.get("earlier")}:
        passed = [c for c in merged if c["model"] == model and "output" in c and c["passed"]]
        if passed:
            recommended[model] = min(passed, key=lambda c: c["bytes"])["scheme"]
    return {**result, "cells": merged, "recommended": recommended}


def slim(result):
    return {"recommended": result["recommended"],
            "cells": [{k: v for k, v in c.items() if k != "gates"} for c in result["cells"] if "output" in c]}


def write(page, figures, result):
    """Enters the section into docs/findings.md and the figures into docs/findings.json."""
    page, figures = pathlib.Path(page), pathlib.Path(figures)
    everything = json.loads(figures.read_text())
    result = with_earlier(result, everything["matrix"]["cells"])
    page.write_text(replace(page.read_text(), section(result)))
    everything["matrix"] = slim(result)
    figures.write_text(json.dumps(everything, indent=1) + "\n")
