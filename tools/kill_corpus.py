"""Kills `embed -i FOLDER -o FOLDER` at random moments and starts it again, until it was killed often enough and has ended. The output
must be that of an undisturbed run, byte for byte: no row twice, none missing, nothing left over.

    python3 tools/kill_corpus.py build/release/mlx-encoder MODEL [--moments 50] [--files 100] [--rows 40] [--seed 1]
    python3 tools/kill_corpus.py build/release/mlx-encoder MODEL --speed [--rounds 5]

The files are .txt, .tsv and .jsonl, and .parquet if the program reads it and pyarrow is installed. A run that ends before it was
killed often enough is followed by another over a new folder. --speed measures rows/s of those files, and of one file with the same
rows, in turns; the best of each counts."""

import argparse
import collections
import hashlib
import json
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

WORDS = "the cat dog road house sat ran long warm number is and very on a".split()


def texts_of(chance: random.Random, count: int) -> list[str]:
    return [" ".join(chance.choices(WORDS, k=chance.randint(3, 18))) for _ in range(count)]


def write_parquet(path: pathlib.Path, texts: list[str]) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"text": texts}), path)


WRITERS = {
    "txt": lambda path, texts: path.write_text("".join(f"{t}\n" for t in texts)),
    "tsv": lambda path, texts: path.write_text("id\ttext\n" + "".join(f"{i}\t{t}\n" for i, t in enumerate(texts))),
    "jsonl": lambda path, texts: path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts)),
    "parquet": write_parquet,
}


class Corpus:
    def __init__(self, program: str, model: str, scratch: pathlib.Path):
        self.command = [program, "embed", model, "--engine", "cpu", "-i"]
        self.scratch, self.texts = scratch, scratch / "texts"

    def start(self, texts: pathlib.Path, output: pathlib.Path) -> subprocess.Popen:
        return subprocess.Popen([*self.command, str(texts), "-o", str(output)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def run(self, texts: pathlib.Path, output: pathlib.Path) -> float:
        begin = time.monotonic()
        running = self.start(texts, output)
        _, said = running.communicate()
        if running.returncode != 0:
            raise SystemExit(f"{output}: status {running.returncode}: {said}")
        return time.monotonic() - begin

    def formats(self) -> list[str]:
        """Those that the program reads and this Python writes."""
        probe = self.scratch / "probe"
        probe.mkdir()
        try:
            write_parquet(probe / "x.parquet", ["a text"])
        except ImportError:
            return [f for f in WRITERS if f != "parquet"]
        running = self.start(probe, self.scratch / "probed")
        running.communicate()
        return [f for f in WRITERS if f != "parquet" or running.returncode == 0]

    def write(self, chance: random.Random, files: int, rows: int) -> list[str]:
        """Files of about `rows` texts; returns all texts, in the order of the files' names."""
        formats, by_name = self.formats(), {}
        for i in range(files):
            name = f"{i % 7}/{i:05}.{formats[i % len(formats)]}"
            by_name[name] = texts_of(chance, chance.randint(0, 2 * rows))
            (self.texts / name).parent.mkdir(parents=True, exist_ok=True)
            WRITERS[formats[i % len(formats)]](self.texts / name, by_name[name])
        counts = collections.Counter(name.rpartition(".")[2] for name in by_name)
        print(f"{files} files ({', '.join(f'{n} {f}' for f, n in counts.items())}), {sum(map(len, by_name.values()))} texts")
        return [text for name in sorted(by_name) for text in by_name[name]]


def contents(folder: pathlib.Path) -> dict[str, str]:
    """SHA-256 by name. The record's lines are sorted: files are finished in another order if a run was killed."""
    found = {}
    for file in folder.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            if file.name == "corpus.jsonl":
                lines = data.splitlines(keepends=True)
                if len(set(lines)) != len(lines):
                    raise SystemExit(f"{file}: has a line twice")
                data = b"".join(sorted(lines))
            found[str(file.relative_to(folder))] = hashlib.sha256(data).hexdigest()
    return found


def kill(corpus: Corpus, chance: random.Random, moments: int) -> None:
    whole = corpus.scratch / "whole"
    seconds = corpus.run(corpus.texts, whole)
    expected = contents(whole)
    folder = corpus.scratch / "killed"
    output = folder / "vectors"
    kills, rounds, unfinished = 0, 0, 0
    while kills < moments:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        rounds += 1
        ended = False
        while not ended:
            running = corpus.start(corpus.texts, output)
            if kills < moments:
                time.sleep(chance.uniform(0, 0.5 * seconds))
                running.send_signal(signal.SIGKILL)
            _, said = running.communicate()
            if running.returncode not in (0, -signal.SIGKILL):
                raise SystemExit(f"after {kills} kills: status {running.returncode}: {said}")
            ended = running.returncode == 0
            kills += not ended
            unfinished += not ended and output.exists() and any(f.name.startswith(".") for f in output.rglob("*"))
        if contents(output) != expected:
            raise SystemExit(f"after {kills} kills: the output differs from that of an undisturbed run")
        if left := [f.name for f in folder.iterdir() if f != output]:
            raise SystemExit(f"after {kills} kills: {left} is left over")
    print(f"{kills} kills in {rounds} folders, {unfinished} of them with a file half written: the output of an undisturbed run "
          f"({seconds:.2f} s), to the byte, and nothing beside it")  # fmt: skip


def measure(corpus: Corpus, texts: list[str], rounds: int) -> None:
    one = corpus.scratch / "one"
    one.mkdir()
    WRITERS["jsonl"](one / "all.jsonl", texts)
    best = {"many": float("inf"), "one": float("inf")}
    for _ in range(rounds):
        for name, folder in (("many", corpus.texts), ("one", one)):
            output = corpus.scratch / "timed"
            shutil.rmtree(output, ignore_errors=True)
            best[name] = min(best[name], corpus.run(folder, output))
    many, alone = (len(texts) / best[name] for name in ("many", "one"))
    print(f"{many:.0f} rows/s from many files, {alone:.0f} rows/s from one file: {many / alone:.3f} of it (best of {rounds} each)")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--rows", type=int, default=40, help="of a file, in the mean")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="kill-corpus-") as scratch:
        corpus = Corpus(options.program, options.model, pathlib.Path(scratch))
        texts = corpus.write(chance, options.files, options.rows)
        if options.speed:
            measure(corpus, texts, options.rounds)
        else:
            kill(corpus, chance, options.moments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
