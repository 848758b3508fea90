"""Writes tests/data/npz: arrays and a model as numpy.savez and mlx.core.savez write them.

    .venv/bin/python tools/make_npz_goldens.py

The environment is the one of `make deps`: MLX and numpy.
"""

import io
import zipfile
from pathlib import Path

import mlx.core as mx
import numpy as np
from safetensors.numpy import load_file, save_file

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
OUT = DATA / "npz"


def arrays() -> dict[str, np.ndarray]:
    """An array of each dtype that is read, and each way in which one may lie in its member."""
    floats = [0.0, -0.0, 1.0, -1.5, 3.140625, 65504.0, 6e-8, float("inf")]
    result = {name: np.array(floats, dtype=name).reshape(2, 4) for name in ["float64", "float32", "float16"]}
    for bits in [8, 16, 32, 64]:
        for name in [f"int{bits}", f"uint{bits}"]:
            info = np.iinfo(name)
            result[name] = np.array([info.min, 1, 100, info.max], dtype=name)
    result["bool"] = np.array([True, False, True])
    result["scalar"] = np.array(2.5, dtype=np.float32)
    result["empty"] = np.zeros((0, 4), dtype=np.float32)
    table = np.arange(24, dtype=np.float32).reshape(4, 6)
    result["a.table"] = table
    result["transposed"] = table.T
    result["permuted"] = np.asfortranarray(np.arange(24, dtype=np.float16).reshape(2, 3, 4))
    result["one_column"] = np.asfortranarray(table[:, :1])
    return result


def save_arrays() -> None:
    values = arrays()
    save_file({name: np.ascontiguousarray(value).reshape(value.shape) for name, value in values.items()}, OUT / "expected.safetensors")
    np.savez(OUT / "numpy.npz", **values)
    np.savez_compressed(OUT / "refused_compressed.npz", **values)
    # As the format's other versions have it.
    for version in [(2, 0), (3, 0)]:
        with zipfile.ZipFile(OUT / f"numpy{version[0]}.npz", "w") as archive:
            for name, value in values.items():
                member = io.BytesIO()
                np.lib.format.write_array(member, value, version)
                archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    for name, value in {
        "big_endian": np.arange(3, dtype=">f4"),
        "complex": np.ones(2, dtype=np.complex64),
        "records": np.zeros(2, dtype=[("a", "<f4"), ("b", "<i4")]),
        "text": np.array(["abc"]),
        "objects": np.array([{}, None], dtype=object),
    }.items():
        np.savez(OUT / f"refused_{name}.npz", a=value)
    table = mx.array(np.arange(24, dtype=np.float32).reshape(4, 6))
    written = {
        "bfloat16": mx.array([[1.0, -2.5], [3.140625, 0.0]]).astype(mx.bfloat16),
        "float16": table.astype(mx.float16),
        "uint32": mx.array([0, 1, 2**32 - 1], dtype=mx.uint32),
        "transposed": table.T,
        "scalar": mx.array(2.5),
        "bool": mx.array([True, False]),
    }
    mx.savez(str(OUT / "mlx.npz"), **written)
    mx.save_safetensors(str(OUT / "mlx.safetensors"), {name: mx.contiguous(value) for name, value in written.items()})


def example_name(name: str) -> str:
    """The name that mlx-examples' bert/convert.py gives a tensor of Hugging Face's BertModel."""
    for ours, theirs in [
        (".layer.", ".layers."), (".self.key.", ".key_proj."), (".self.query.", ".query_proj."),
        (".self.value.", ".value_proj."), (".attention.output.dense.", ".attention.out_proj."),
        (".attention.output.LayerNorm.", ".ln1."), (".output.LayerNorm.", ".ln2."), (".intermediate.dense.", ".linear1."),
        (".output.dense.", ".linear2."), (".LayerNorm.", ".norm."), ("pooler.dense.", "pooler."),
    ]:
        name = name.replace(ours, theirs)
    return name


def save_models() -> None:
    tensors = load_file(DATA / "tiny" / "bert" / "model.safetensors")
    np.savez(OUT / "bert_example.npz", **{example_name(name): value for name, value in tensors.items()})
    # mlx.nn.quantize's names, of matrices whose rows groups of 32 divide.
    quantized = {}
    for name, value in tensors.items():
        array = mx.array(value).astype(mx.float16)
        if name.endswith(".weight") and value.ndim == 2 and "token_type" not in name:
            module = name.removesuffix(".weight")
            quantized[name], quantized[f"{module}.scales"], quantized[f"{module}.biases"] = mx.quantize(array, 32, 8)
        else:
            quantized[name] = array
    mx.savez(str(OUT / "bert_8bit.npz"), **quantized)
    mx.save_safetensors(str(OUT / "bert_8bit.safetensors"), quantized)


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    save_arrays()
    save_models()
