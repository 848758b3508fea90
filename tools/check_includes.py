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
    "format": {"base"},
    "tokenizer": {"base", "format"},
    "models": {"base", "format", "quant"},
    "engine_cpu": {"base", "format", "kernels", "models", "quant"},
    "engine_mlx": {"base", "format", "models", "quant"},
    "encoder": {"base", "format", "models", "quant", "tokenizer", "engine_cpu", "engine_mlx"},
    "calibrate": {"base", "format", "kernels", "models", "quant", "tokenizer", "encoder", "engine_cpu"},
    "convert": {"base", "format", "models", "quant", "tokenizer", "encoder", "calibrate"},
    "evaluate": {"base", "format", "models", "quant", "tokenizer", "encoder"},
    "compare": {"base", "format", "kernels", "models", "quant", "tokenizer", "encoder", "convert", "evaluate"},
    "matrix": {"base", "format", "models", "quant", "tokenizer", "encoder", "convert", "evaluate", "compare"},
    "allocate": {"base", "format", "models", "quant", "tokenizer", "encoder", "engine_cpu", "calibrate", "convert", "compare"},
    "cli": {"base", "format", "models", "quant", "tokenizer", "encoder", "convert", "evaluate", "compare", "matrix", "allocate", "engine_cpu",
            "engine_mlx", "kernels"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[">]', re.M)


def main() -> int:
    files = subprocess.check_output(["git", "ls-files", "src/*.h", "src/*.cpp", "cli/*"], text=True).split()
    problems = []
    for name in files:
        parts = pathlib.PurePath(name).parts
        layer = parts[1] if parts[0] == "src" else "cli"
        if layer not in ALLOWED:
            if layer != "rust":
                problems.append(f"{name}: folder {layer} is in no layer; add it to tools/check_includes.py and HACKING.md")
            continue
        for target in INCLUDE.findall(pathlib.Path(name).read_text()):
            if target.startswith("mlx/") and not name.startswith("src/engine_mlx/module/"):
                problems.append(f"{name}: includes <{target}>; MLX headers belong to src/engine_mlx/module only")
            if (target.endswith("intrin.h") or target == "arm_neon.h") and layer != "kernels":
                problems.append(f"{name}: includes <{target}>; intrinsics belong to src/kernels only")
            other = target.split("/")[0] if "/" in target else None  # <compare> is the standard library's
            if other in ALLOWED and other != layer and other not in ALLOWED[layer]:
                problems.append(f"{name}: includes {target}; {layer} may include {sorted(ALLOWED[layer]) or 'nothing'}")
    print("\n".join(problems) or "includes: ok")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
