"""docs/benchmarks.md from the figures of tools/bench_peers.py.

    python tools/bench_report.py docs/benchmarks.json       prints the page
"""

import json
import sys


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def ms(value):
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def unique(values):
    return list(dict.fromkeys(values))


OURS = "mlx-encoder "


def ratio_table(report, threads):
    ratios = [r for r in report["ratios"] if r["threads"] == threads and "f32" not in r["engine"]]
    ours = unique(r["engine"] for r in ratios)
    rows = []
    for model, shape in unique((r["model"], r["shape"]) for r in ratios):
        here = {r["engine"]: r for r in ratios if (r["model"], r["shape"]) == (model, shape)}
        first = next(iter(here.values()))
        torch = here["mlx-encoder 8-bit"]["ratio_to_torch_fp32"]
        rows.append([model, shape, f"{ms(first['best_peer_ms'])}, {first['best_peer']}",
                     *(f"{ms(here[e]['p50_ms'])}, **{here[e]['ratio']:.2f}x**" if e in here else "" for e in ours),
                     f"{torch:.1f}x" if torch else ""])
    return table(["model", "shape", "best peer, ms", *(e.removeprefix(OURS) for e in ours), "8-bit to torch fp32"], rows)


def time_table(report, model, threads):
    results = [r for r in report["results"] if (r["model"], r["threads"]) == (model, threads)]
    shapes = sorted({r["shape"] for r in results}, key=lambda s: [int(n) for n in s.split("x")])
    rows = []
    for engine in unique(r["engine"] for r in results):
        here = {r["shape"]: r for r in results if r["engine"] == engine}
        spread = lambda r: f" ({ms(min(r['rounds_ms']))}-{ms(max(r['rounds_ms']))})" if len(r["rounds_ms"]) > 1 else ""  # noqa: E731
        one = next(iter(here.values()))
        rows.append([engine, *(ms(here[s]["p50_ms"]) + spread(here[s]) if s in here else "" for s in shapes),
                     f"{one['peak_bytes'] / 1e6:.0f}", f"{one['cold_start_ms']:.0f}"])
    return table(["engine", *(f"{s} ms" for s in shapes), "peak MB", "start ms"], rows)


def corpus_table(report, name):
    here = [r for r in report["corpora"] if r["corpus"] == name]
    best = max((r["texts_per_s"] for r in here if not r["engine"].startswith("mlx-encoder")), default=None)
    rows = [[r["engine"], f"{r['texts_per_s']:.0f} ({min(r['rounds']):.0f}-{max(r['rounds']):.0f})",
             f"{r['texts_per_s'] / best:.2f}x" if best else "", f"{r['cosine']:.5f}" if r["cosine"] else ""]
            for r in sorted(here, key=lambda r: -r["texts_per_s"])]
    return table(["engine", "texts/s (rounds)", "to the best peer", "mean cosine to fp32"], rows)


def markdown(report):
    m = report["machine"]
    peak = f", {m['peak_gflops_float32']:.0f} GFLOP/s of float32 multiply-adds measured" if m["peak_gflops_float32"] else ""
    parts = ["# How fast is mlx-encoder beside other engines?\n",
             f"Made by `{report['command']}` ({report['seconds']} s, {report['date']}); every figure is in "
             "[benchmarks.json](benchmarks.json). Absolute times change with the machine: compare within one session only.\n"]
    if report["quick"]:
        parts.append("**A quick trial, one short round: not a measurement.**\n")
    parts.append(
        f"Machine: {m['processor']}, {m['cores']} cores ({', '.join(m['flags'])}), {m['system']}; mlx-encoder's kernels: "
        f"{m['variant']}{peak}; load {m['load_at_start']:.1f} at the start.\n")
    parts.append("Models: all-MiniLM-L6-v2 with its real weights; a full-size DistilBERT (66.96 M parameters) with random ones. Input: "
                 "token ids, all rows of full length; every engine computes all token vectors of the last layer. Each engine "
                 "runs in a process of its own, the processes in random order. A time is the median over a process's runs, "
                 "and of those the median over the rounds; in brackets the lowest and highest round. Start: from "
                 "the start of the process to its first vectors.\n")
    parts.append("mlx-encoder runs with int8 activations, its default here, unless a row names others. \"First token\": only the first token of each "
                 "text is computed in the last layer, as a classifier or pooler needs. The peers compute all tokens.\n")
    parts.append("".join(f"- {engine}: {note}.\n" for engine, note in report["notes"].items()))
    parts.append("Measured with two threads only, to keep the session short: " + "; ".join(report["two_threads_only"]) + ".\n")
    if report["missing"]:
        parts.append("Missing here:\n\n" + "".join(f"- {engine}: {why}\n" for engine, why in report["missing"].items()))
    for threads in unique(r["threads"] for r in report["ratios"]):
        words = f"{threads} thread" + ("s" if threads > 1 else "")
        parts.append(f"## {words}: how much faster than the best peer at that shape\n")
        parts.append(ratio_table(report, threads))
        for model in unique(r["model"] for r in report["ratios"]):
            parts.append(f"### {model}, {words}, every engine\n")
            parts.append(time_table(report, model, threads))
    for name in unique(r["corpus"] for r in report["corpora"]):
        one = next(r for r in report["corpora"] if r["corpus"] == name)
        tokens = f", {one['tokens'] / one['texts']:.1f} tokens each" if one["tokens"] else ""
        parts.append(f"## {name}: {one['texts']} texts{tokens}, to MiniLM's sentence vectors, 2 threads\n")
        parts.append("Tokenizer included, start-up not. The others get batches of 32 texts of like length.\n")
        parts.append(corpus_table(report, name))
    parts.append("## Versions\n\n" + ", ".join(f"{k} {v or 'missing'}" for k, v in report["versions"].items()) + ".\n")
    parts.append("## What ran\n\n"
                 "`make bench-peers` installs the engines (tools/requirements-bench-peers.txt), makes the models "
                 "(`tools/bench_models.sh`, `tools/peer_engines.py prepare`) and runs `tools/bench_peers.py`. One engine by itself:\n\n"
                 "    build/release/mlx-encoder bench build/bench/MiniLM-8bit --threads 2\n"
                 "    .venv-peers/bin/python tools/peer_engines.py time 'OpenVINO int8' MiniLM build/bench --threads 2\n")
    return "\n".join(parts)


if __name__ == "__main__":
    with open(sys.argv[1]) as f:
        sys.stdout.write(markdown(json.load(f)))
