"""Writes the table of docs/models.md: families, heads and readers, each cell with the tiny checkpoints that prove it.

    python3 tools/make_support_table.py build/release/mlx-encoder            # writes docs/models.md
    python3 tools/make_support_table.py build/release/mlx-encoder --check    # status 1 if the page is not what it would write

Rows come from the registry (`mlx-encoder doctor --families --json`), columns from the outputs that a run can give. A
checkpoint proves a cell if the tests run it (tests/models/golden.h) and its golden has that output.
"""

import argparse
import json
import pathlib
import re
import struct
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TINY = ROOT / "tests/data/tiny"
PAGE = ROOT / "docs/models.md"
BEGIN, END = "<!-- made by tools/make_support_table.py -->\n", "<!-- end -->\n"
WORDS = {"sentence": "sentence vector", "pooler": "pooler", "logits": "classifier", "token_logits": "token classifier",
         "chosen_logits": "masked language model", "span_logits": "question answering", "choice_logits": "multiple choice",
         "term_weights": "sparse vector", "token_vectors": "late interaction", "token_weights": "lexical weights"}
GROUPS = re.compile(r"^(texts|pairs|query)\.")
SHOWN = 2  # checkpoints of a cell that are named


def tested_folders() -> list[str]:
    source = (ROOT / "tests/models/golden.h").read_text()
    names = re.search(r"kTinyNames\[\] = \{(.*?)\};", source, re.S)
    return re.findall(r'"(\w+)"', names.group(1))


def outputs_of(folder: pathlib.Path) -> set[str]:
    with (folder / "golden.safetensors").open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        return {GROUPS.sub("", name) for name in json.loads(file.read(size))}


def proofs(family_of: dict[str, str]) -> dict[tuple[str, str], list[str]]:
    """The folders that prove an output of a family."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in tested_folders():
        for output in outputs_of(TINY / name):
            found.setdefault((family_of[str(TINY / name)], output), []).append(name)
    return found


def cell(folders: list[str], computed: bool) -> str:
    if folders:
        more = f" +{len(folders) - SHOWN}" if len(folders) > SHOWN else ""
        return " ".join(f"`{name}`" for name in folders[:SHOWN]) + more
    return "computed" if computed else ""


def table(support: dict) -> str:
    proved = proofs(support["folders"])
    columns = support["outputs"]
    lines = ["| `model_type` | " + " | ".join(WORDS.get(c, c) for c in columns) + " | mlx-embeddings | real checkpoint or first proof |",
             "|---|" + "---|" * (len(columns) + 2)]
    for family in support["families"]:
        cells = [cell(proved.get((family["model_type"], c), []), c in family["heads"]) for c in columns]
        reader = "yes" if family["mlx_embeddings"] else ""
        proof = family["proved_with"].removeprefix("tests/data/tiny/")
        lines.append(f"| `{family['model_type']}` | " + " | ".join(cells) + f" | {reader} | {proof} |")
    engines = " and ".join(f"`{e}`" for e in support["engines"])
    lines += ["", f"{len(support['families'])} families; {len(tested_folders())} checkpoints, each run on the engines {engines}."]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--page", type=pathlib.Path, default=PAGE)
    arguments = parser.parse_args()
    folders = [str(TINY / name) for name in tested_folders()]
    support = json.loads(subprocess.check_output([arguments.program, "doctor", "--families", "--json", *folders]))
    page = arguments.page.read_text()
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        sys.exit(f"{arguments.page}: expected the marks {BEGIN.strip()} and {END.strip()} once")
    head, rest = page.split(BEGIN)
    made = head + BEGIN + table(support) + END + rest.split(END)[1]
    if arguments.check:
        if made == page:
            return 0
        print(f"{arguments.page}: is not what the registry and the tests say; run tools/make_support_table.py {arguments.program}")
        return 1
    arguments.page.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
