"""Writes the seed inputs of the fuzzers into tests/fuzz/corpus, from the goldens of tests/data.

    python3 tools/make_fuzz_corpus.py
"""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
CORPUS = ROOT / "tests" / "fuzz" / "corpus"


def put(target: str, name: str, content: bytes | str) -> None:
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def header(tensors: dict, metadata: dict | None = None) -> tuple[str, int]:
    """The header text and the number of data bytes of tensors given as name -> (dtype, shape)."""
    sizes = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "U32": 4, "I8": 1, "U8": 1, "BOOL": 1}
    entries: dict = {"__metadata__": metadata} if metadata else {}
    offset = 0
    for name, (dtype, shape) in tensors.items():
        size = sizes[dtype]
        for d in shape:
            size *= d
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    return json.dumps(entries, separators=(",", ":")), offset


def safetensors() -> None:
    golden = (DATA / "safetensors" / "all_dtypes.safetensors").read_bytes()
    put("safetensors", "all_dtypes", golden)
    put("safetensors", "truncated", golden[:700])
    put("safetensors", "mlx", (DATA / "checkpoints" / "mlx_mixed" / "model.safetensors").read_bytes())
    put("safetensors", "huge_length", b"\xff" * 8 + b"{}")
    for name, tensors in {
        "plain": {"a": ("F32", [2, 3]), "b": ("BF16", [4])},
        "scalar": {"s": ("F64", [])},
        "empty": {"e": ("F16", [0, 7]), "x": ("U8", [3])},
    }.items():
        text, size = header(tensors, {"format": "mlx"})
        put("safetensors", name, text.encode() + bytes([size]))
    put("safetensors", "overlap", b'{"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},'
        b'"b":{"dtype":"I8","shape":[2],"data_offsets":[1,3]}}\x03')
    put("safetensors", "twice", b'{"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},'
        b'"a":{"dtype":"I8","shape":[1],"data_offsets":[1,2]}}\x02')
    put("safetensors", "overflow", b'{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}\x00')


CONFIGS = {
    "bert": {"model_type": "bert", "hidden_size": 384, "num_hidden_layers": 6, "layer_norm_eps": 1e-12,
             "hidden_act": "gelu", "architectures": ["BertModel"], "position_embedding_type": "absolute"},
    "classifier": {"model_type": "distilbert", "dim": 64, "id2label": {"0": "no", "1": "yes"},
                   "label2id": {"no": 0, "yes": 1}, "problem_type": "single_label_classification"},
    "labels": {"num_labels": 3, "pruned_heads": {"1": [0, 2]}, "is_decoder": True},
    "quantized": {"quantization": {"group_size": 64, "bits": 4, "mode": "affine", "q": {"bits": 8}, "c": False}},
    "hub": {"quantization_config": {"quant_method": "gptq", "bits": 4}},
    "mxfp4": {"quantization": {"mode": "mxfp4"}, "mlx_encoder": {"scheme": "int8", "version": 1}},
    "numbers": {"a": -1, "b": 18446744073709551615, "c": 1.5e308, "d": None, "e": True, "f": 1e-400},
}


def config() -> None:
    for name, value in CONFIGS.items():
        put("config", name, json.dumps(value))
    put("config", "truncated", '{"hidden_size": 38')
    put("config", "not_utf8", b'{"a": "\xe9"}')
    put("config", "deep", "[" * 80)
    put("config", "twice", '{"a": 1, "a": 2}')


def index() -> None:
    put("index", "sharded", (DATA / "checkpoints" / "sharded" / "model.safetensors.index.json").read_bytes())
    put("index", "escape", '{"weight_map": {"a": "../x.safetensors"}}')
    put("index", "zero", '{"weight_map": {"a": "x\\u0000y.safetensors"}}')
    put("index", "types", '{"weight_map": {"a": 1}, "metadata": {"total_size": 1}}')
    put("index", "empty", '{"weight_map": {}}')
    put("index", "list", "[]")


def folder() -> None:
    saved = DATA / "sentence" / "saved"
    sentence = [(saved / name).read_text() for name in
                ["modules.json", "sentence_bert_config.json", "1_Pooling/config.json", "2_Dense/config.json"]]

    def seed(name: str, config: dict, tensors: dict, index_text: str = "", sentence_parts=("", "", "", "")) -> None:
        text, size = header(tensors)
        assert size < 256
        parts = [json.dumps(config), index_text, *sentence_parts, text]
        put("folder", name, b"\0".join(part.encode() for part in parts) + bytes([size]))

    affine = {"bert.q.weight": ("U32", [1, 16]), "bert.q.scales": ("F16", [1, 1]), "bert.q.biases": ("F16", [1, 1])}
    seed("affine", {"quantization": {"group_size": 64, "bits": 8}}, affine)
    seed("override", {"quantization": {"group_size": 32, "bits": 4, "q": {"bits": 8}}}, affine)
    seed("mxfp8", {"quantization": {"mode": "mxfp8"}}, {"q.weight": ("U32", [1, 8]), "q.scales": ("U8", [1, 1])})
    seed("int8", {"mlx_encoder": {"scheme": "int8", "version": 1}},
         {"q.weight": ("I8", [2, 3]), "q.weight.scale": ("F32", [2]), "q.weight.zero_point": ("I8", [2])})
    seed("fake", {}, {"q.weight": ("F32", [2, 3]), "q.weight.scale": ("F32", [1]), "q.weight.zero_point": ("F32", [1])})
    seed("names", {}, {"bert.LayerNorm.gamma": ("F32", [2]), "LayerNorm.weight": ("F32", [2]),
                       "bert.position_ids": ("I64", [1])})
    seed("stale_index", {}, {"a": ("I8", [1])}, '{"weight_map": {"b": "model-00001-of-00001.safetensors"}}')
    seed("dense", {}, {"linear.weight": ("F32", [3, 8]), "linear.bias": ("F32", [3])}, "", sentence)


if __name__ == "__main__":
    safetensors()
    config()
    index()
    folder()
