"""Runs the program on real models for make_findings.py and keeps what it said, so that a second run is quick."""

import hashlib
import json
import pathlib
import shutil
import subprocess
import sys

PLAIN = ["-q", "--calibrate", "none", "--q-bits"]
SCHEMES = {  # name -> options of convert
    "float16": [],
    "8-bit": ["-q", "--q-bits", "8"],
    "6-bit": [*PLAIN, "6"],
    "5-bit": [*PLAIN, "5"],
    "4-bit": [*PLAIN, "4"],
    "4-bit, group 32": [*PLAIN, "4", "--q-group-size", "32"],
    "3-bit": [*PLAIN, "3"],
    "2-bit": [*PLAIN, "2"],
    "mxfp8": ["-q", "--q-mode", "mxfp8"],
    "mxfp4": ["-q", "--q-mode", "mxfp4"],
    "nvfp4": ["-q", "--q-mode", "nvfp4"],
    "int8": ["-q", "--q-mode", "int8"],
    "fake": ["-q", "--q-mode", "fake"],
}

EMBEDDINGS = ["embeddings.*"]
ATTENTION = {"bert": ["encoder.layer.*.attention.*"], "distilbert": ["transformer.layer.*.attention.*"]}
FEED_FORWARD = {"bert": ["encoder.layer.*.intermediate.*", "encoder.layer.?.output.*"],
                "distilbert": ["transformer.layer.*.ffn.*"]}
HEADS = {"bert": ["pooler.*"], "distilbert": ["pre_classifier"]}


def partial(model_type, bits):
    """name -> options: which matrices are quantized, the others stay float16."""
    attention, feed_forward = ATTENTION[model_type], FEED_FORWARD[model_type]
    heads = HEADS[model_type]
    quantize = [*PLAIN, str(bits)]

    def keep(*patterns):
        return quantize + [word for group in patterns for p in group for word in ("--keep", p)]

    parts = {
        "everything": quantize,
        "Linear only": keep(EMBEDDINGS),
        "attention only": keep(EMBEDDINGS, feed_forward, heads),
        "feed-forward only": keep(EMBEDDINGS, attention, heads),
        "embeddings only": keep(attention, feed_forward, heads),
    }
    if bits < 8:
        parts["8-bit embeddings"] = quantize + ["--set", "embeddings.*=8"]
    return parts


class Lab:
    """Commands run in `folder`, where the models have short names, and are shown as a reader would type them."""

    def __init__(self, program, folder, fresh):
        self.program, self.folder, self.fresh = pathlib.Path(program).resolve(), pathlib.Path(folder), fresh
        self.records = self.folder / "records"
        self.records.mkdir(parents=True, exist_ok=True)

    def name(self, short, target):
        link = self.folder / short
        if link.is_symlink():
            link.unlink()
        link.symlink_to(pathlib.Path(target).resolve())

    def _recorded(self, key, make):
        record = self.records / (hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16] + ".json")
        if self.fresh or not record.exists():
            record.write_text(json.dumps(make(), indent=1))
        return json.loads(record.read_text())

    def run_anew(self, *arguments, accept=(0,)):
        """The JSON a command prints; its exit status is one of `accept`."""
        print("$", shown(arguments), flush=True)
        done = subprocess.run([self.program, *arguments, "--json"], cwd=self.folder, capture_output=True, text=True)
        if done.returncode not in accept:
            sys.exit(done.stderr)
        return json.loads(done.stdout)

    def _run(self, arguments):
        return self.run_anew(*arguments)

    def run(self, *arguments):
        """The JSON a command prints, and the command."""
        return self._recorded(arguments, lambda: {"command": shown(arguments), "result": self._run(arguments)})

    def trial(self, model, name, options, texts):
        """Converts `model`, compares it with the original on `texts` and removes it again."""
        out = f"{model}-{name}".replace(", ", "-").replace(" ", "-")
        convert = ["convert", model, "--mlx-path", out, *options]
        compare = ["compare", model, out, "--texts", texts, "--seconds", "1"]

        def both():
            shutil.rmtree(self.folder / out, ignore_errors=True)
            result = {"name": name, "commands": [shown(convert), shown(compare)],
                      "convert": self._run(convert), "compare": self._run(compare)}
            del result["convert"]["tensors"]
            shutil.rmtree(self.folder / out)
            return result

        return self._recorded([convert, compare], both)


def shown(arguments):
    return " ".join(["mlx-encoder", *(f"'{a}'" if "*" in a or " " in a else a for a in arguments)])
