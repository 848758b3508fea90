"""What mlx_lm.convert and mlx-embeddings' converter really do with encoder folders, as JSON for docs/findings.md.

    python tools/check_converters.py FOLDER...          (environment: tools/requirements-mlx-embeddings.txt)

Each converter is run on each folder (`-q --q-bits 8`, and without `-q`) as its own command line runs it. A record says
the folder's model_type, the command, its exit status and either its last line of error or what it wrote: bytes of
each file, and how many of the tensors are quantized. Then which encoder types each package has code for.
"""

import argparse
import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile
from importlib.metadata import version

import mlx.core as mx

CONVERTERS = {"mlx-lm": ["mlx_lm", "convert"], "mlx-embeddings": ["mlx_embeddings.convert"]}
ENCODERS = ["bert", "distilbert", "roberta", "xlm_roberta", "modernbert", "deberta_v2", "mpnet", "albert", "electra"]


def written(folder):
    tensors = {}
    for file in folder.glob("*.safetensors"):
        tensors |= mx.load(str(file))
    return {
        "files": {f.name: f.stat().st_size for f in sorted(folder.iterdir()) if f.is_file()},
        "tensors": len(tensors),
        "quantized_tensors": sum(name.endswith(".scales") for name in tensors),
    }


def run(package, folder, options):
    with tempfile.TemporaryDirectory() as scratch:
        out = pathlib.Path(scratch) / "out"
        command = ["-m", *CONVERTERS[package], "--hf-path", str(folder), "--mlx-path", str(out), *options]
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
        record = {
            "converter": f"{package} {version(package)}",
            "model_type": json.loads((folder / "config.json").read_text())["model_type"],
            "source_bytes": sum(f.stat().st_size for f in folder.glob("*.safetensors")),
            "options": options,
            "exit_status": done.returncode,
        }
        if done.returncode:
            record["error"] = done.stderr.strip().splitlines()[-1]
        else:
            record["wrote"] = written(out)
        return record


def knows(package, encoder):
    return importlib.util.find_spec(f"{package}.models.{encoder}") is not None


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folders", nargs="+", type=pathlib.Path)
arguments = parser.parse_args()

result = {
    "runs": [
        run(package, folder, options)
        for folder in arguments.folders
        for package in CONVERTERS
        for options in (["-q", "--q-bits", "8"], [])
    ],
    "encoders": {
        package: {e: knows(package.replace("-", "_"), e) for e in ENCODERS} for package in CONVERTERS
    },
}
print(json.dumps(result, indent=2))
