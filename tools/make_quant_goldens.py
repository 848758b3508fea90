"""Writes tests/data/quant_golden.safetensors: what real MLX makes of groups of every awkward kind.

    python -m pip install "mlx[cpu]==0.32.4" numpy
    python tools/make_quant_goldens.py [OUTPUT]

Contents: `w` [32, 128] float32, and for w cast to each dtype
    affine.{f32,f16,bf16}.b{2,3,4,5,6,8}.g{32,64,128}.{weight,scales,biases}
    {mxfp4,mxfp8,nvfp4}.{f32,f16,bf16}.{weight,scales}
    affine.f32.b*.g64.dequant, {mxfp4,mxfp8,nvfp4}.f32.dequant
from mlx.core on the CPU, and int8.{weight,scale,zero_point}, fake.{weight,scale,zero_point} from the numpy formulas
below (no other program writes those two). Beside it, scale_golden.safetensors: `{nvfp4,mxfp4,mxfp8}.{weight,scales,dequant}`,
what MLX reads for each of the 256 scale bytes (row s has scale s) over codes of every kind, NaN included. Every MLX result is first compared with a numpy version of the same
algorithm, so the file also says that docs/format.md describes what MLX does.
"""

import pathlib
import sys

import mlx.core as mx
import numpy as np

mx.set_default_device(mx.cpu)
DTYPES = {"f32": mx.float32, "f16": mx.float16, "bf16": mx.bfloat16}
FP_MODES = {"mxfp4": (4, 32), "mxfp8": (8, 32), "nvfp4": (4, 16)}
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
E4M3 = np.array([np.ldexp(m, -9) if e == 0 else np.ldexp(8 + m, e - 10) for e in range(16) for m in range(8)][:127],
                np.float32)


def make_weights() -> np.ndarray:
    """[128, 32]: one awkward group of 32 a row; every value is finite in float16 too."""
    rng = np.random.default_rng(20240607)
    normal = lambda scale: rng.normal(0, scale, 32)
    groups = [
        np.zeros(32), np.full(32, -0.0), np.resize([0.0, -0.0], 32),
        np.full(32, 0.37), np.full(32, -0.37), np.full(32, 1e-7), np.full(32, -4e-8), np.full(32, 65504.0),
        np.abs(normal(0.05)), -np.abs(normal(0.05)), np.abs(normal(0.05)) + 5, -np.abs(normal(0.05)) - 5,
        np.linspace(-1, 1, 32), np.linspace(-65504, 65504, 32), np.linspace(65000, 65519, 32),
        np.arange(32) - 16.0, np.arange(32) * 0.5 - 8, (np.arange(32) - 15.5) / 8,     # exact ties
        np.arange(32) * 0.25 - 4, np.resize([6, -6, 5, 3.5, 2.5, 1.75, 1.25, 0.75, 0.25, -0.25, -5], 32),
        np.resize([448, 440, 432, 1, 17 / 16, 19 / 16, 2**-9, 2**-10, 1.5 * 2**-9, -(2**-10)], 32),
        normal(6e-8), normal(2.0**-24), normal(2.0**-20), normal(1e-6), np.resize([2.0**-24, -(2.0**-24)], 32),
    ]
    for scale in (1e-3, 2e-2, 0.05, 0.3, 4.0, 500.0):
        groups.append(normal(scale))
    for outlier in (3.0, -3.0, 40.0, -40.0, 60000.0, -60000.0):
        group = normal(0.02)
        group[rng.integers(32)] = outlier
        groups.append(group)
    for exponent in range(-17, 11):  # the largest is a code times a power of two, or just beside it
        group = rng.uniform(-1, 1, 32)
        beside = rng.choice([1, 1 + 2.0**-22, 1 - 2.0**-22, 1 + 2.0**-10, 1 - 2.0**-10, 1 + 2.0**-7, 1 - 2.0**-7])
        group[0] = rng.choice([6, 448, -6, -448]) * 2.0**exponent * beside
        groups.append(np.clip(group, -abs(group[0]), abs(group[0])))
    while len(groups) < 128:
        groups.append(rng.standard_t(3, 32) * 10.0 ** rng.uniform(-3, 0))
    w = np.clip(np.array(groups, np.float64), -65519, 65519).astype(np.float32)
    return w.reshape(32, 128)


# ---- the algorithms in numpy


def round_to(x: np.ndarray, dtype: str) -> np.ndarray:
    x = np.asarray(x, np.float32)
    if dtype == "f16":
        return x.astype(np.float16).astype(np.float32)
    if dtype == "bf16":
        u = x.view(np.uint32)
        return (((u + 0x7FFF + (u >> 16 & 1)) >> 16) << 16).astype(np.uint32).view(np.float32)
    return x


def pack(codes: np.ndarray, bits: int) -> np.ndarray:
    stream = np.unpackbits(codes.astype(np.uint8)[..., None], axis=-1, bitorder="little")[..., :bits]
    return np.packbits(stream.reshape(codes.shape[0], -1), axis=-1, bitorder="little").view(np.uint32)


def affine(w: np.ndarray, bits: int, group: int, dtype: str):
    f = np.float32
    rows = w.shape[0]
    w = w.reshape(rows, -1, group)
    low, high, steps = w.min(-1), w.max(-1), f(2**bits - 1)
    mask = np.abs(low) > np.abs(high)
    scale = np.maximum((high - low) / steps, f(1e-7))
    scale = np.where(mask, scale, -scale)
    edge = np.where(mask, low, high)
    q0 = np.rint(edge / scale)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(q0 != 0, edge / q0, scale).astype(f)
    bias = np.where(q0 != 0, edge, f(0))
    q = np.clip(np.rint((w - bias[..., None]) / scale[..., None]), 0, steps)
    return pack(q.reshape(rows, -1), bits), round_to(scale, dtype), round_to(bias, dtype)


def nearest(grid: np.ndarray, x: np.ndarray, ties_to_even: bool) -> np.ndarray:
    gap = np.abs(np.abs(x).astype(np.float64)[..., None] - grid.astype(np.float64))
    lower = gap.argmin(-1)  # a tie: the smaller
    upper = grid.size - 1 - gap[..., ::-1].argmin(-1)
    return np.where((lower % 2 == 1) & ties_to_even, upper, lower).astype(np.uint8)


def floating(w: np.ndarray, mode: str, dtype: str):
    bits, group = FP_MODES[mode]
    rows = w.shape[0]
    w = w.reshape(rows, -1, group)
    scale = round_to(np.abs(w).max(-1) / np.float32(6 if bits == 4 else 448), dtype)
    if mode == "nvfp4":
        stored = nearest(E4M3, scale, True)
        divisor = np.where(stored == 0, np.float32(np.inf), E4M3[stored])
    else:
        fraction, exponent = np.frexp(scale)  # fraction in [0.5, 1): 2^(exponent-1) <= scale
        exponent = np.where(scale == 0, 0, exponent - (fraction == 0.5))
        stored = (exponent + 127).astype(np.uint8)
        divisor = np.ldexp(np.float32(1), exponent)
    x = round_to(w / divisor[..., None], dtype)
    if bits == 8:
        codes = nearest(E4M3, x, True) | (np.signbit(x) * np.uint8(128))
        return codes.reshape(rows, -1).view(np.uint32), stored
    codes = nearest(E2M1, x, False)
    codes = codes | ((x < 0) & (codes != 0)) * np.uint8(8)
    return pack(codes.reshape(rows, -1), 4), stored


def int8_grid(low, high):
    low, high = np.minimum(low, np.float32(0)), np.maximum(high, np.float32(0))
    scale = ((high.astype(np.float64) - low.astype(np.float64)) / 255).astype(np.float32)
    scale = np.where(scale == 0, np.float32(1), scale)
    zero_point = np.clip(np.rint(np.float32(-128) - low / scale), -128, 127)
    return scale.astype(np.float32), zero_point.astype(np.float32)


def int8(w: np.ndarray):
    scale, zero_point = int8_grid(w.min(-1), w.max(-1))
    q = np.clip(np.rint(w / scale[:, None]) + zero_point[:, None], -128, 127)
    return q.astype(np.int8), scale, zero_point.astype(np.int8)


def fake(w: np.ndarray):
    scale, zero_point = int8_grid(w.min(), w.max())
    q = np.clip(np.rint(w / scale) + zero_point, -128, 127)
    return ((q - zero_point) * scale).astype(np.float32), scale.reshape(1), zero_point.reshape(1)


# ---- comparing and writing


def same(found: mx.array, expected: np.ndarray, what: str) -> None:
    found = np.array(found.astype(mx.float32) if found.dtype in (mx.float16, mx.bfloat16) else found)
    if found.tobytes() != np.ascontiguousarray(expected).astype(found.dtype).tobytes():
        bad = np.argwhere(found != expected)
        sys.exit(f"{what}: MLX {mx.__version__} and the numpy version differ at {bad[:5].tolist()} ({len(bad)} places)")


def write_scales(output: pathlib.Path) -> None:
    out = {}
    for mode, (bits, group) in FP_MODES.items():
        if bits == 4:
            codes = np.resize(np.arange(16, dtype=np.uint8), (256, group))
        else:  # row s has 32 of the 256 codes
            codes = (np.arange(32)[None, :] + 32 * np.arange(256)[:, None]).astype(np.uint8)
        packed = codes.view(np.uint32) if bits == 8 else pack(codes, bits)
        scales = np.arange(256, dtype=np.uint8).reshape(256, 1)
        pieces = mx.array(packed), mx.array(scales)
        out |= {f"{mode}.weight": pieces[0], f"{mode}.scales": pieces[1],
                f"{mode}.dequant": mx.dequantize(*pieces, group_size=group, bits=bits, mode=mode, dtype=mx.float32)}
    mx.save_safetensors(str(output), out, {"format": "mlx", "made_by": f"mlx {mx.__version__}, {pathlib.Path(__file__).name}"})


def main() -> None:
    default = pathlib.Path(__file__).parent.parent / "tests/data/quant_golden.safetensors"
    output = sys.argv[1] if len(sys.argv) > 1 else str(default)
    w = make_weights()
    out = {"w": mx.array(w)}
    for dtype, mx_dtype in DTYPES.items():
        x = mx.array(w).astype(mx_dtype)
        cast = round_to(w, dtype)
        same(x, cast, f"cast to {dtype}")
        for bits in (2, 3, 4, 5, 6, 8):
            for group in (32, 64, 128):
                key = f"affine.{dtype}.b{bits}.g{group}"
                pieces = mx.quantize(x, group_size=group, bits=bits)
                for piece, mine, name in zip(pieces, affine(cast, bits, group, dtype), ("weight", "scales", "biases")):
                    same(piece, mine, f"{key}.{name}")
                    out[f"{key}.{name}"] = piece
                if dtype == "f32" and group == 64:
                    out[f"{key}.dequant"] = mx.dequantize(*pieces, group_size=group, bits=bits)
        for mode in FP_MODES:
            key = f"{mode}.{dtype}"
            pieces = mx.quantize(x, mode=mode)
            for piece, mine, name in zip(pieces, floating(cast, mode, dtype), ("weight", "scales")):
                same(piece, mine, f"{key}.{name}")
                out[f"{key}.{name}"] = piece
            if dtype == "f32":
                out[f"{key}.dequant"] = mx.dequantize(*pieces, mode=mode, dtype=mx.float32)
    for key, pieces in (("int8", int8(w)), ("fake", fake(w))):
        for piece, name in zip(pieces, ("weight", "scale", "zero_point")):
            out[f"{key}.{name}"] = mx.array(piece)
    mx.save_safetensors(output, out, {"format": "mlx", "made_by": f"mlx {mx.__version__}, {pathlib.Path(__file__).name}"})
    write_scales(pathlib.Path(output).with_name("scale_golden.safetensors"))
    print(f"{output}: {len(out)} tensors, {pathlib.Path(output).stat().st_size} bytes")


if __name__ == "__main__":
    main()
