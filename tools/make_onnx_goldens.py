"""Writes tests/data/onnx: exports of checkpoints in tests/data/tiny by torch.onnx, forms of one of them as onnxruntime quantizes
it, the weights that these stand for, and what onnxruntime computes.

    python tools/make_onnx_goldens.py        (environment: tools/requirements-goldens.txt, tools/requirements-goldens-onnx.txt)

NAME.onnx           an export; of the tiny folder FOLDERS says
dequantized.json    of each quantized one the SHA-256 of its weights in float32, dequantized here with numpy from the names that
                    onnxruntime gives codes and scales, under the names of the tiny checkpoint
vectors.safetensors NAME: [texts, D], the mean of onnxruntime's token vectors of each text of tiny/texts.json
"""

import hashlib
import json
import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import transformers
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from safetensors.numpy import load_file, save_file
from transformers import AutoModel, AutoTokenizer

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
TINY, OUT = DATA / "tiny", DATA / "onnx"
FOLDERS = {"bert": "script", "mpnet": "script", "modernbert": "dynamo"}  # and the exporter
TEXTS = [text for text in json.loads((TINY / "texts.json").read_text())["texts"]]


def export(folder: Path, file: Path, exporter: str) -> None:
    model = AutoModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    ids = torch.randint(5, 60, (2, 12), generator=torch.Generator().manual_seed(1))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if model.config.model_type == "bert":
        inputs["token_type_ids"] = torch.zeros_like(ids)
    axes = {0: "batch", 1: "sequence"}
    if exporter == "dynamo":
        program = torch.onnx.export(model, kwargs=inputs, dynamo=True, verbose=False,
                                    dynamic_shapes={key: {d: torch.export.Dim.DYNAMIC for d in axes} for key in inputs})
        proto = program.model_proto
        for node in proto.graph.node:  # traces with this machine's paths
            kept = [p for p in node.metadata_props if p.key == "pkg.torch.onnx.name_scopes"]
            del node.metadata_props[:]
            node.metadata_props.extend(kept)
        for value in proto.graph.value_info:
            del value.metadata_props[:]
        onnx.save(proto, file)
    else:
        torch.onnx.export(model, (), str(file), kwargs=inputs, input_names=list(inputs), output_names=["hidden"],
                          dynamic_axes={key: axes for key in inputs}, opset_version=17, dynamo=False)


def vectors(folder: Path, file: Path, texts: list[str]) -> np.ndarray:
    """The mean of onnxruntime's token vectors of each text, [texts, D]."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    session = onnxruntime.InferenceSession(file)
    wanted = {i.name for i in session.get_inputs()}
    rows = []
    for text in texts:
        tokens = tokenizer([text], return_tensors="np", truncation=True)
        hidden = session.run(None, {key: value.astype(np.int64) for key, value in tokens.items() if key in wanted})[0]
        rows.append(hidden[0].mean(axis=0))
    return np.stack(rows).astype(np.float32)


class Texts(CalibrationDataReader):
    def __init__(self):
        tokenizer = AutoTokenizer.from_pretrained(TINY / "bert")
        self.rows = iter([dict(tokenizer([text], return_tensors="np", truncation=True)) for text in TEXTS])

    def get_next(self):
        return next(self.rows, None)


def quantize() -> list:
    source = OUT / "bert.onnx"
    quantize_dynamic(source, OUT / "bert_channels.onnx", weight_type=QuantType.QUInt8, per_channel=True)
    quantize_static(source, OUT / "bert_qdq.onnx", Texts(), quant_format=QuantFormat.QDQ, per_channel=True)
    for name, bits, symmetric in (("bert_q4", 4, False), ("bert_q4_symmetric", 4, True), ("bert_q8", 8, False)):
        ops = ("MatMul", "Gather") if bits == 4 else ("MatMul",)
        quantizer = MatMulNBitsQuantizer(onnx.load(source), block_size=16, bits=bits, is_symmetric=symmetric,
                                         op_types_to_quantize=ops, quant_axes=(("MatMul", 0), ("Gather", 1)))
        quantizer.process()
        quantizer.model.save_model_to_file(str(OUT / f"{name}.onnx"))
    return ["bert_channels", "bert_qdq", "bert_q4", "bert_q4_symmetric", "bert_q8"]


def half() -> None:
    """All float32 weights as float16, each cast back when it is read: model_fp16.onnx without its other casts."""
    model = onnx.load(OUT / "bert.onnx")
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values, name = onnx.numpy_helper.to_array(tensor), tensor.name
            tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), name + "_half"))
            casts.append(onnx.helper.make_node("Cast", [name + "_half"], [name], to=onnx.TensorProto.FLOAT))
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)
    onnx.save(model, OUT / "bert_half.onnx")


def external() -> None:
    onnx.save(onnx.load(OUT / "bert.onnx"), OUT / "bert_external.onnx", save_as_external_data=True,
              location="bert_external.onnx_data", size_threshold=200)


def unpacked(codes: np.ndarray, bits: int, count: int) -> np.ndarray:
    """The first `count` codes of each row of bytes, the lowest bits first."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    return (codes[..., None] >> shifts & (2**bits - 1)).reshape(*codes.shape[:-1], -1)[..., :count]


def dequantized(quantized: Path, source: Path, weights: dict) -> dict:
    """The weights of a quantized export, made of the export `source` of a checkpoint, under the names of the checkpoint's
    `weights`. A code's name begins with that of the tensor in `source` whose place it took, and that tensor's values say which
    weight it is."""
    parameter = {}
    for tensor in onnx.load(source).graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        for key, weight in weights.items():
            if values.shape == weight.shape and (values == weight).all():
                parameter[tensor.name] = (key, False)
            elif values.ndim == 2 and values.shape == weight.T.shape and (values == weight.T).all():
                parameter[tensor.name] = (key, True)
    graph = onnx.load(quantized).graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    value = lambda key: onnx.numpy_helper.to_array(stored[key])  # noqa: E731
    result = {}
    for original, (key, is_transposed) in parameter.items():
        wanted = weights[key].shape
        if original in stored:
            values = value(original)
            result[key] = values.T if is_transposed else values
            continue
        flipped = is_transposed
        base = original
        if f"{original}_Transposed_quantized" in stored:  # a Gemm that became a MatMul
            base, flipped = f"{original}_Transposed", not is_transposed
        if f"{base}_quantized" in stored:
            codes = value(f"{base}_quantized").astype(np.int64)
            prefix = f"{base}_quantized" if f"{base}_quantized_scale" in stored else base
            scale, zero = value(f"{prefix}_scale"), value(f"{prefix}_zero_point").astype(np.int64)
            # Of channels: columns of a MatMul, rows of a Gemm.
            if codes.ndim == 2 and scale.size > 1 and not flipped:
                scale, zero = scale[:, None], zero[:, None]
            values = (codes - zero).astype(np.float32) * scale
            result[key] = values.T if flipped else values
            continue
        bits = 8 if f"{original}_Q8" in stored else 4
        codes, scale = stored[f"{original}_Q{bits}"], value(f"{original}_scales").reshape(wanted[0], -1)
        columns, blocks = wanted[1], scale.shape[1]
        if codes.data_type == onnx.TensorProto.UINT8:
            codes = unpacked(value(codes.name).reshape(wanted[0], -1), bits, columns).astype(np.int64)
            zero = unpacked(value(f"{original}_zero_points").reshape(wanted[0], -1), bits, blocks).astype(
                np.int64) if f"{original}_zero_points" in stored else np.full(scale.shape, 2**(bits - 1))
        else:  # UINT4 and INT4 of a Gather
            codes = value(codes.name).astype(np.int64)
            zero = value(f"{original}_zero_points").astype(np.int64) if f"{original}_zero_points" in stored else np.zeros(
                scale.shape, np.int64)
        spread = lambda per_block: np.repeat(per_block, 16, axis=1)[:, :columns]  # noqa: E731
        result[key] = (codes - spread(zero)).astype(np.float32) * spread(scale)
    for key, values in result.items():
        assert values.shape == weights[key].shape and np.abs(values - weights[key]).max() <= 0.2 * np.abs(weights[key]).max(), key
    return {key: np.ascontiguousarray(values, dtype=np.float32) for key, values in result.items()}


def be_quiet() -> None:
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    transformers.logging.set_verbosity_error()


def main() -> None:
    be_quiet()
    OUT.mkdir(exist_ok=True)
    for name, exporter in FOLDERS.items():
        export(TINY / name, OUT / f"{name}.onnx", exporter)
    weights, digests = load_file(TINY / "bert" / "model.safetensors"), {}
    for name in quantize():
        values = dequantized(OUT / f"{name}.onnx", OUT / "bert.onnx", weights)
        digests[name] = {key: hashlib.sha256(value.tobytes()).hexdigest() for key, value in sorted(values.items())}
    (OUT / "dequantized.json").write_text(json.dumps(digests, indent=1) + "\n")
    half()
    external()
    save_file({name: vectors(TINY / name, OUT / f"{name}.onnx", TEXTS) for name in FOLDERS}, OUT / "vectors.safetensors")
    for file in sorted(OUT.iterdir()):
        file.chmod(0o644)
        print(f"{file.name:32} {file.stat().st_size:7}")


if __name__ == "__main__":
    main()
