#!/usr/bin/env python3
"""Makes the n-th call of each kind fail (faults.c), n = 1, 2, ... until none is hit, in commands that write something.

    sweep.py PROGRAM LIBRARY MODEL [--points N] [--memory-points N | --stacks] [--lasting] [--jobs N] [--commands ...] [--kinds ...]

After every run: the program ended by itself, with one sentence where its status is not 0; what it writes is as it was
before, or whole and equal to what an undisturbed run writes; nothing else is left beside it. A folder that a later run continues
may hold some of the files, each whole, and an undisturbed run then makes it whole. --points N takes N points
of each command and kind, spread evenly, instead of all; --memory-points N does so for memory alone. --stacks takes, for
memory, the first and the last call of each call stack that allocates (faults.c says how stacks are told apart).
--lasting makes all calls after the n-th fail, too: a full disk stays full.
"""

import argparse
import collections.abc
import concurrent.futures
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

KINDS = ("open", "read", "write", "mmap", "rename", "fsync", "thread", "memory")
TEXTS = "The sky is blue.\nA cat sat on the warm piano.\nWhere does the road lead?\nRain fell all day long.\n" * 4
LAST_CALL = 1 << 40  # no run makes so many
SECONDS = 120  # for a run of a fraction of a second


def snapshot(path: pathlib.Path) -> dict[str, str] | str | None:
    """Content of a file or folder, hashed; None if it is not there."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    if not path.exists():
        return None
    return {str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(path.rglob("*")) if p.is_file()}


class Command:
    """A command of the program and the one thing it writes, in a folder of its own. `record`: the file that lets a later run continue."""

    def __init__(self, name: str, program: str, arguments: list[str], output: str, before: pathlib.Path | None, record: str = ""):
        self.name, self.program, self.arguments, self.output, self.before = name, program, arguments, output, before
        self.record = record

    def run(self, folder: pathlib.Path, environment: dict[str, str]) -> tuple[int, str]:
        """Runs it in `folder`, emptied first but for the target where there is one before. Returns status and stderr."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        target = folder / self.output
        if self.before is not None:
            copy = shutil.copytree if self.before.is_dir() else shutil.copy
            copy(self.before, target)
        return self.run_again(folder, environment)

    def run_again(self, folder: pathlib.Path, environment: dict[str, str]) -> tuple[int, str]:
        """The same over what is there."""
        arguments = [a.replace("OUT", str(folder / self.output)) for a in self.arguments]
        done = subprocess.run(
            [self.program, *arguments],
            env={**os.environ, "TMPDIR": str(folder), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=SECONDS,
        )
        return done.returncode, done.stderr.decode(errors="replace")


class Sweep:
    def __init__(self, command: Command, library: str, lasting: bool, folder: pathlib.Path):
        self.command, self.library, self.lasting = command, library, lasting
        self.work, self.hit = folder / "work", folder / "hit"
        self.problems: list[str] = []
        counts, stacks = folder / "counts", folder / "stacks"
        record = {"MLXE_FAULT_COUNTS": str(counts), "MLXE_FAULT_STACKS": str(stacks)}
        status, said = command.run(self.work, {"LD_PRELOAD": library, **record})
        assert status == 0, f"{command.name} undisturbed: status {status}: {said}"
        self.calls = {kind: int(n) for kind, n in (line.split() for line in counts.read_text().splitlines())}
        if self.calls["destructor"] > 0:
            self.problem(f"{command.name}: a thread-local object has a destructor; without memory to register it, abort()")
        self.stacks = sorted({int(n) for n in stacks.read_text().split()})
        self.whole = self.result()
        self.old = snapshot(command.before) if command.before else None

    def problem(self, text: str) -> None:
        self.problems.append(text)
        print(text, flush=True)

    def result(self):
        return snapshot(self.work / self.command.output)

    def run(self, kind: str, n: int) -> str | None:
        """The problem of a run whose n-th call fails, or ""; None if it made no n-th call."""
        self.hit.unlink(missing_ok=True)
        calls = f"{n}+" if self.lasting else str(n)
        where = f"{self.command.name}, {kind} {calls}"
        fault = {"LD_PRELOAD": self.library, "MLXE_FAULT": f"{kind}:{calls}", "MLXE_FAULT_HIT": str(self.hit)}
        try:
            status, said = self.command.run(self.work, fault)
        except subprocess.TimeoutExpired:
            return f"{where}: still running after {SECONDS} s"
        if not self.hit.exists():
            return None
        problem = self.judge(kind, status, said)
        return f"{where}: {problem}" if problem else ""

    def is_whole(self, now) -> bool:
        if now == self.whole:
            return True
        # A report leaves out what it can't find out about the machine.
        report = self.work / self.command.output
        return report.suffix == ".html" and report.is_file() and report.read_text().rstrip().endswith("</html>")

    def continues(self) -> str:
        """The problem of what a run left for the next one, or ""."""
        now = self.result() or {}
        wrong = [name for name, content in now.items() if name != self.command.record and self.whole.get(name) != content]
        if wrong:
            return f"{self.command.output} holds {', '.join(wrong)}, not as an undisturbed run writes it"
        status, said = self.command.run_again(self.work, {})
        if status != 0:
            return f"the next run: status {status}: {said.strip()[:300]}"
        return "" if self.result() == self.whole else "the next run did not make it whole"

    def judge(self, kind: str, status: int, said: str) -> str:
        if status < 0 or status == 1:
            return f"status {status}: {said.strip()[:300]}"
        sentences = [line for line in said.splitlines() if line.startswith("mlx-encoder: ")]
        # A failing write may be the sentence's own.
        if status > 0 and len(sentences) > 1 or (status > 0 and not sentences and said):
            return f"status {status}, expected one sentence: {said.strip()[:300]}"
        now = self.result()
        if self.command.record and now != self.whole and (problem := self.continues() if status > 0 else "is not whole"):
            return f"status {status}, {problem}"
        if not self.command.record and not self.is_whole(now) and (status == 0 or now != self.old):
            return f"status {status}, but {self.command.output} is neither the old nor the whole new one"
        beside = [p.name for p in self.work.iterdir() if p.name != self.command.output]
        if kind == "memory":  # where the program ends at once, finished steps stay: docs/exit-status.md
            beside = [name for name in beside if not name.endswith(".calibration")]
        if beside and kind != "open":  # a folder that can't be opened can't be emptied
            return f"status {status}, left behind: {', '.join(beside)}: {said.strip()[:300]}"
        return ""

    def points(self, kind: str, count: int | None) -> collections.abc.Iterable[int]:
        """Numbers of calls, in ascending order."""
        if count is None:
            return range(1, LAST_CALL)  # to the first that is not hit: with threads the number varies
        calls = self.calls[kind]
        count = min(count, calls)
        return [1 + i * (calls - 1) // max(1, count - 1) for i in range(count)]

    def sweep(self, kind: str, points: collections.abc.Iterable[int]) -> int:
        """Runs points of a kind; returns how many were hit."""
        hit = 0
        for n in points:
            problem = self.run(kind, n)
            if problem is None:
                break
            hit += 1
            if problem:
                self.problem(problem)
        return hit


def commands(program: str, model: str, folder: pathlib.Path) -> list[Command]:
    texts = folder / "texts.txt"
    texts.write_text(TEXTS)
    corpus = folder / "corpus"
    (corpus / "deep").mkdir(parents=True)
    for file in ("a.txt", "b.txt", "deep/c.txt"):
        (corpus / file).write_text(TEXTS)
    quantized, vectors = folder / "quantized", folder / "vectors.npy"
    convert = ["convert", model, "-q", "--q-group-size", "32", "--threads", "2", "--mlx-path"]
    embed = ["embed", model, "--input", str(texts), "--engine", "cpu", "--threads", "2", "-o"]
    subprocess.run([program, *convert, str(quantized)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    vectors.write_bytes(b"vectors of before")
    compare = ["compare", model, str(quantized), "--texts", str(texts), "--engine", "cpu", "--threads", "2", "--no-speed"]
    return [
        Command("convert", program, [*convert, "OUT"], "model", None),
        Command("convert --force", program, [*convert, "OUT", "--force"], "model", quantized),
        Command("calibrate", program, [*convert, "OUT", "--q-bits", "4", "--calibrate", str(texts)], "model", None),
        Command("embed -o", program, [*embed, "OUT"], "vectors.npy", vectors),
        # two passes, over a temporary file
        Command("embed --precision", program, [*embed, "OUT", "--precision", "int8"], "vectors.npy", vectors),
        Command("embed a corpus", program, ["embed", model, "--input", str(corpus), "--engine", "cpu", "--threads", "2", "-o", "OUT"],
                "vectors", None, "corpus.jsonl"),
        Command("compare --report", program, [*compare, "--report", "OUT"], "report.html", vectors),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("library")
    parser.add_argument("model")
    parser.add_argument("--points", type=int)
    memory = parser.add_mutually_exclusive_group()
    memory.add_argument("--memory-points", type=int)
    memory.add_argument("--stacks", action="store_true")
    parser.add_argument("--lasting", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--commands", nargs="*")
    parser.add_argument("--kinds", nargs="*", default=KINDS)
    o = parser.parse_args()
    total, problems = 0, []

    def run(command: Command, folder: pathlib.Path) -> tuple[int, list[str]]:
        folder.mkdir()
        sweep = Sweep(command, o.library, o.lasting, folder)
        hits = {}
        for kind in o.kinds:
            count = o.memory_points or o.points if kind == "memory" else o.points
            hits[kind] = sweep.sweep(kind, sweep.stacks if kind == "memory" and o.stacks else sweep.points(kind, count))
        print(f"{command.name}: points run: " + ", ".join(f"{kind} {n}" for kind, n in hits.items()), flush=True)
        return sum(hits.values()), sweep.problems

    with tempfile.TemporaryDirectory() as name, concurrent.futures.ThreadPoolExecutor(o.jobs) as pool:
        chosen = [c for c in commands(o.program, o.model, pathlib.Path(name)) if not o.commands or c.name in o.commands]
        for hit, found in pool.map(run, chosen, [pathlib.Path(name) / str(i) for i in range(len(chosen))]):
            total += hit
            problems += found
    print(f"{total} failure points, {len(problems)} problems")
    return 1 if problems or total == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
