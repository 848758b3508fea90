"""Writes a model as GGUF files with llama.cpp's own tools: F16 with its converter, then its quantized forms.

    python tools/make_gguf_models.py LLAMA_CPP MODEL OUT [--types Q8_0 Q4_K_M]

LLAMA_CPP is a checkout of llama.cpp (the source package of llama-cpp-python has one in vendor/). Writes OUT/MODEL.F16.gguf and
OUT/MODEL.TYPE.gguf for each type. Environment: tools/requirements-goldens.txt with tools/requirements-goldens-gguf.txt.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import llama_cpp


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("llama_cpp", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--types", nargs="+", default=["Q8_0", "Q4_K_M"])
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    source = arguments.out / f"{arguments.model.name}.F16.gguf"
    subprocess.run([sys.executable, arguments.llama_cpp / "convert_hf_to_gguf.py", arguments.model, "--outtype", "f16",
                    "--outfile", source], check=True)
    for name in arguments.types:
        parameters = llama_cpp.llama_model_quantize_default_params()
        parameters.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{name}")
        target = arguments.out / f"{arguments.model.name}.{name}.gguf"
        if llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), parameters):
            sys.exit(f"{target}: llama.cpp can't quantize {source}")


if __name__ == "__main__":
    main()
