"""Checks that includes point one way through the layers of HACKING.md, and who may include MLX and intrinsics."""

import pathlib
import re
import subprocess
import sys

# A folder may include itself and what is listed here.
ALLOWED = {
    "base": set(),
    "kernels": {"base"},
    "quant": {"base", "kernels"},
    "format": {"base", "quant"},
    "hub": {"base", "format"},
    "tokenizer": {"base", "format"},
    "models": {"base", "format", "quant"},
    "engine_cpu": {"base", "format", "kernels", "models", "quant"},
    "engine_mlx": {"base", "format", "models", "quant"},
    "encoder": {"base", "format", "models", "quant", "tokenizer", "engine_cpu", "engine_mlx"},
    "calibrate": {"base", "format", "kernels", "models", "quant", "tokenizer", "encoder", "engine_cpu"},
    "verify": {"base", "format", "models", "quant", "tokenizer", "encoder", "gates"},
    "convert": {"base", "format", "models", "quant", "tokenizer", "encoder", "calibrate", "verify"},
    "texts": {"base", "format"},
    "vectors": {"base", "format", "encoder"},
    "corpus": {"base", "format", "encoder", "texts", "vectors"},
    "metrics": {"base", "kernels", "models"},
    "gates": {"base", "format", "quant"},
    "evaluate": {"base", "format", "models", "quant", "tokenizer", "encoder", "metrics", "texts"},
    "bench": {"base", "format", "models", "quant", "tokenizer", "encoder"},
    "compare": {"base", "format", "models", "quant", "tokenizer", "encoder", "convert", "evaluate", "metrics", "gates", "bench"},
    "report": {"base", "metrics", "gates", "bench", "compare"},
    "allocate": {"base", "format", "models", "quant", "tokenizer", "encoder", "engine_cpu", "calibrate", "convert", "metrics",
                 "compare", "report"},
    "sweep": {"base", "format", "hub", "quant", "convert", "texts", "evaluate", "gates", "compare", "report", "allocate"},
    "cli": {"base", "format", "hub", "models", "quant", "tokenizer", "encoder", "verify", "convert", "texts", "vectors", "corpus", "evaluate", "gates",
            "bench", "compare", "report", "allocate", "sweep", "engine_cpu", "engine_mlx", "kernels"},
    "python": {"base", "format", "hub", "models", "quant", "encoder", "verify", "convert", "texts", "vectors", "corpus", "evaluate",
               "gates", "compare", "allocate"},
}
# The folder each public header belongs to: who may include that folder may include the header.
PUBLIC = {
    "error": "base", "types": "base", "version": "base",
    "adapter": "format",
    "hub": "hub",
    "quantize": "quant",
    "engine": "models",
    "encoder": "encoder", "vector_precision": "encoder",
    "calibration": "calibrate",
    "verify": "verify",
    "convert": "convert", "inspect": "convert",
    "task_data": "texts",
    "corpus": "corpus",
    "difference": "metrics", "scoring": "metrics",
    "gate": "gates",
    "evaluate": "evaluate",
    "measurement": "bench",
    "compare": "compare",
    "allocate": "allocate", "sensitivity": "allocate",
    "matrix": "sweep",
}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[">]', re.M)


def layer_of(name: str) -> str | None:
    """The folder of a file of ours, or of what an include names; None of others (<compare> is the standard library's)."""
    parts = pathlib.PurePath(name.removeprefix("include/").removeprefix("src/")).parts
    if len(parts) < 2:
        return None
    return PUBLIC.get(pathlib.PurePath(parts[1]).stem, "?") if parts[0] == "mlx_encoder" else parts[0]


def main() -> int:
    files = subprocess.check_output(["git", "ls-files", "include/*.h", "src/*.h", "src/*.cpp", "cli/*", "python/src/*"], text=True).split()
    problems = []
    for name in files:
        layer = layer_of(name)
        if layer not in ALLOWED:
            if layer != "rust":
                problems.append(f"{name}: is in no layer; add it to tools/check_includes.py and HACKING.md")
            continue
        for target in INCLUDE.findall(pathlib.Path(name).read_text()):
            if target.startswith("mlx/") and not name.startswith("src/engine_mlx/module/"):
                problems.append(f"{name}: includes <{target}>; MLX headers belong to src/engine_mlx/module only")
            if (target.endswith("intrin.h") or target == "arm_neon.h") and layer != "kernels":
                problems.append(f"{name}: includes <{target}>; intrinsics belong to src/kernels only")
            other = layer_of(target)
            if other in ALLOWED and other != layer and other not in ALLOWED[layer]:
                problems.append(f"{name}: includes {target}, of {other}; {layer} may include {sorted(ALLOWED[layer]) or 'nothing'}")
    print("\n".join(problems) or "includes: ok")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
