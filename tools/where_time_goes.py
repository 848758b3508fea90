"""Where the cpu engine's time goes, by operation: profiles `mlx-encoder bench` with perf and prints a table in Markdown.

    python tools/where_time_goes.py PROGRAM FOLDER... [--shapes 1x16,32x128] [--activations int8] [--seconds 4]

One thread, so that shares are of the work and not of waiting. Needs Linux's perf and the symbols `make build` leaves.
"""

import argparse
import pathlib
import re
import subprocess
import tempfile

# First match wins; what a symbol's name says it works for.
OPERATIONS = [
    ("matrix products", r"matmul|vnni_matmul|\btile<|tiles<|int8_block|bf16_block|packed_|multiply|scale<"),
    ("weights to bfloat16 or bytes", r"[Dd]ecode|expand|read_bf16|unpack"),
    ("attention", r"attend|pack_keys|pack_values|softmax|attention|transpose|score|VectorProducts"),
    ("activations to codes or bfloat16", r"quantize|round"),
    ("GELU", r"gelu|erf"),
    ("layer norm, residual sum", r"layer_norm|::norm\b|::add\b"),
    ("memory from the system", r"page_fault|clear_page|\[k\]|_raw_spin|list_del|alloc|free|mmap|madvise"),
    ("copies and checks of results", r"memmove|memcpy|check_finite|read\(|append|pool"),
]


def samples(program, folder, shape, activations, seconds):
    with tempfile.TemporaryDirectory() as work:
        data = pathlib.Path(work) / "perf.data"
        bench = [program, "bench", folder, "--shapes", shape, "--threads", "1", "--engine", "cpu", "--activations", activations,
                 "--seconds", str(seconds)]
        subprocess.run(["perf", "record", "-q", "-o", data, *bench], check=True, stdout=subprocess.DEVNULL)
        report = subprocess.run(["perf", "report", "-i", data, "--stdio", "--no-children", "-F", "overhead,symbol"], check=True,
                                capture_output=True, text=True).stdout
    return [(float(m[1]), m[2]) for m in re.finditer(r"^\s*([\d.]+)%\s+(\[.\].*)$", report, re.MULTILINE)]


def shares(found):
    total = sum(share for share, _ in found)
    by_operation = {name: 0.0 for name, _ in OPERATIONS} | {"the rest": 0.0}
    for share, symbol in found:
        name = next((name for name, pattern in OPERATIONS if re.search(pattern, symbol)), "the rest")
        by_operation[name] += 100 * share / total
    return by_operation


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    parser.add_argument("--shapes", default="1x16,32x128")
    parser.add_argument("--activations", default="int8")
    parser.add_argument("--seconds", type=float, default=4)
    a = parser.parse_args()
    columns = {}
    for folder in a.folders:
        for shape in a.shapes.split(","):
            columns[f"{folder.name} {shape}"] = shares(samples(a.program, folder, shape, a.activations, a.seconds))
    print(f"| {a.activations} activations | " + " | ".join(columns) + " |")
    print("|---|" + "---:|" * len(columns))
    for name in [name for name, _ in OPERATIONS] + ["the rest"]:
        print(f"| {name} | " + " | ".join(f"{c[name]:.0f} %" for c in columns.values()) + " |")


if __name__ == "__main__":
    main()
