#!/usr/bin/env python3
"""Says whether Swift's MLXEmbedders would load a folder, by its loading rules, key by key. Needs no Swift.

    tools/check_swift_layout.py FOLDER...

Prints a line for each folder: `loads`, `loads but differs` or `can't load`, and why. Exit status 1 if one can't be loaded.

The rules are those of mlx-swift-lm at commit 14414441 (Libraries/MLXEmbedders/{ModelFactory,Pooling}.swift, Models/{Bert,Gemma3,NomicBert,Qwen3}.swift,
Libraries/MLXLMCommon/{Load,BaseConfiguration}.swift) and of mlx-swift at 09051ed (MLXNN/{Module,Quantized,Transformer}.swift):
weights are those that the index names, else model*.safetensors; their names are rewritten; a module is quantized where it has
`scales`, in the form that "quantization" gives for the module's path in Swift; one tensor too many, too few or of another shape is an
error.
"""

import argparse
import json
import math
import pathlib
import struct
import sys

BERT_NAMES = [
    (".layer.", ".layers."),
    (".self.key.", ".key_proj."),
    (".self.query.", ".query_proj."),
    (".self.value.", ".value_proj."),
    (".attention.output.dense.", ".attention.out_proj."),
    (".attention.output.LayerNorm.", ".ln1."),
    (".output.LayerNorm.", ".ln2."),
    (".intermediate.dense.", ".linear1."),
    (".output.dense.", ".linear2."),
    (".LayerNorm.", ".norm."),
    ("pooler.dense.", "pooler."),
    ("cls.predictions.transform.dense.", "lm_head.dense."),
    ("cls.predictions.transform.LayerNorm.", "lm_head.ln."),
    ("cls.predictions.decoder", "lm_head.decoder"),
    ("cls.predictions.transform.norm.weight", "lm_head.ln.weight"),
    ("cls.predictions.transform.norm.bias", "lm_head.ln.bias"),
    ("cls.predictions.bias", "lm_head.decoder.bias"),
    ("bert.", ""),
    ("roberta.", ""),
]
MODES = {"affine", "mxfp4", "mxfp8", "nvfp4"}


class Refused(Exception):
    """What loading throws."""


def read_json(path: pathlib.Path):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Refused(f"{path.name}: {error}")


def headers(path: pathlib.Path) -> dict[str, tuple[str, list[int]]]:
    """Names, dtypes and shapes of a safetensors file."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return {name: (entry["dtype"], entry["shape"]) for name, entry in header.items()}


def weight_files(folder: pathlib.Path) -> list[pathlib.Path]:
    index = folder / "model.safetensors.index.json"
    if index.exists():
        named = sorted({folder / name for name in read_json(index)["weight_map"].values()})
        if named and all(path.exists() for path in named):
            return named
    present = sorted(path for path in folder.iterdir() if path.suffix == ".safetensors")
    for prefix in ("model", "weight"):
        if chosen := [path for path in present if path.name.startswith(prefix)]:
            return chosen
    return present


def replaced(name: str, pairs: list[tuple[str, str]]) -> str:
    for old, new in pairs:
        name = name.replace(old, new)
    return name


def linear(outputs: int, inputs: int, bias: bool = True) -> tuple:
    return ("linear", outputs, inputs, bias)


def bert_modules(config: dict) -> dict[str, tuple]:
    distil = config["model_type"] == "distilbert"
    names = ("dim", "hidden_dim", "n_layers") if distil else ("hidden_size", "intermediate_size", "num_hidden_layers")
    width, inner, layers = (config.get(name, default) for name, default in zip(names, (768, 3072, 12)))
    types = 0 if distil else config.get("type_vocab_size", 2)
    norm = ("norm", width, True)
    modules = {
        "embeddings.word_embeddings": ("embedding", config.get("vocab_size", 30528), width),
        "embeddings.position_embeddings": ("embedding", config.get("max_position_embeddings", 0), width),
        "embeddings.norm": norm,
    }
    if types > 0:
        modules["embeddings.token_type_embeddings"] = ("embedding", types, width)
    for layer in range(layers):
        at = f"encoder.layers.{layer}."
        for projection in ("query", "key", "value", "out"):
            modules[f"{at}attention.{projection}_proj"] = linear(width, width)
        modules |= {
            f"{at}linear1": linear(inner, width),
            f"{at}linear2": linear(width, inner),
            f"{at}ln1": norm,
            f"{at}ln2": norm,
        }
    classifies = not distil and any("ForSequenceClassification" in name for name in config.get("architectures") or [])
    if not classifies or config["model_type"] == "bert":
        modules["pooler"] = linear(width, width)
    if classifies:
        ids = [int(key) for key in config.get("id2label") or {}] + list((config.get("label2id") or {}).values())
        labels = config.get("num_labels") or max(max(ids, default=-1) + 1, 1)
        if config["model_type"] == "bert":
            modules["classifier"] = linear(labels, width)
        else:
            modules["classifier.dense"] = linear(width, width)
            modules["classifier.out_proj"] = linear(labels, width)
    return modules


def qwen3_modules(config: dict) -> dict[str, tuple]:
    needed = ["hidden_size", "num_hidden_layers", "intermediate_size", "num_attention_heads", "rms_norm_eps", "vocab_size",
              "num_key_value_heads", "head_dim"]
    if missing := [key for key in needed if key not in config]:
        raise Refused(f"config.json has no {', '.join(missing)}")
    width, inner, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    modules = {
        "model.embed_tokens": ("embedding", config["vocab_size"], width),
        "model.norm": ("norm", width, False),
    }
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        modules |= {
            f"{at}self_attn.q_proj": linear(queries, width, False),
            f"{at}self_attn.k_proj": linear(keys, width, False),
            f"{at}self_attn.v_proj": linear(keys, width, False),
            f"{at}self_attn.o_proj": linear(width, queries, False),
            f"{at}self_attn.q_norm": ("norm", head, False),
            f"{at}self_attn.k_norm": ("norm", head, False),
            f"{at}mlp.gate_proj": linear(inner, width, False),
            f"{at}mlp.up_proj": linear(inner, width, False),
            f"{at}mlp.down_proj": linear(width, inner, False),
            f"{at}input_layernorm": ("norm", width, False),
            f"{at}post_attention_layernorm": ("norm", width, False),
        }
    return modules


def gemma3_modules(config: dict) -> dict[str, tuple]:
    config = config.get("text_config", config)
    if "model_type" not in config:
        raise Refused("text_config has no model_type")
    sizes = [("hidden_size", 1152), ("intermediate_size", 6912), ("head_dim", 256), ("num_attention_heads", 4),
             ("num_key_value_heads", 1)]
    width, inner, head, heads, shared = (config.get(key, default) for key, default in sizes)
    modules = {
        "model.embed_tokens": ("embedding", config.get("vocab_size", 262144), width),
        "model.norm": ("norm", width, False),
    }
    for layer in range(config.get("num_hidden_layers", 26)):
        at = f"model.layers.{layer}."
        modules |= {
            f"{at}self_attn.q_proj": linear(heads * head, width, False),
            f"{at}self_attn.k_proj": linear(shared * head, width, False),
            f"{at}self_attn.v_proj": linear(shared * head, width, False),
            f"{at}self_attn.o_proj": linear(width, heads * head, False),
            f"{at}self_attn.q_norm": ("norm", head, False),
            f"{at}self_attn.k_norm": ("norm", head, False),
            f"{at}mlp.gate_proj": linear(inner, width, False),
            f"{at}mlp.up_proj": linear(inner, width, False),
            f"{at}mlp.down_proj": linear(width, inner, False),
        }
        for norm in ("input", "post_attention", "pre_feedforward", "post_feedforward"):
            modules[f"{at}{norm}_layernorm"] = ("norm", width, False)
    return modules


def gemma3_name(name: str) -> str | None:
    name = name.removeprefix("language_model.")
    return None if "self_attn.rotary_emb.inv_freq" in name or "lm_head" in name else name


def nomic_modules(config: dict) -> dict[str, tuple]:
    sizes = [("n_embd", 768), ("n_inner", 3072), ("n_layer", 12), ("type_vocab_size", 2), ("vocab_size", 30528),
             ("max_position_embeddings", 0)]
    width, inner, layers, types, words, positions = (default if config.get(key) is None else config[key] for key, default in sizes)
    inner = -(-inner // 256) * 256
    fraction = config.get("rotary_emb_fraction")
    biases = {key: bool(config.get(key)) for key in ("qkv_proj_bias", "mlp_fc1_bias", "mlp_fc2_bias")}
    modules = {
        "embeddings.word_embeddings": ("embedding", words, width),
        "embeddings.norm": ("norm", width, True),
    }
    if types > 0:
        modules["embeddings.token_type_embeddings"] = ("embedding", types, width)
    if positions > 0 and (1.0 if fraction is None else fraction) < 1:
        modules["embeddings.position_embeddings"] = ("embedding", positions, width)
    for layer in range(layers):
        at = f"encoder.layers.{layer}."
        modules |= {
            f"{at}attn.Wqkv": linear(3 * width, width, biases["qkv_proj_bias"]),
            f"{at}attn.out_proj": linear(width, width, biases["qkv_proj_bias"]),
            f"{at}mlp.fc11": linear(inner, width, biases["mlp_fc1_bias"]),
            f"{at}mlp.fc12": linear(inner, width, biases["mlp_fc1_bias"]),
            f"{at}mlp.fc2": linear(width, inner, biases["mlp_fc2_bias"]),
            f"{at}norm1": ("norm", width, True),
            f"{at}norm2": ("norm", width, True),
        }
    return modules


def nomic_name(name: str) -> str | None:
    return replaced(name, [("emb_ln", "embeddings.norm"), ("bert.", ""), ("pooler.dense.", "pooler.")])


def with_dense_head(modules: dict, weights: dict, width: int) -> dict:
    """Gemma 3 has two linears after the pooling where the file of weights has the first; the file says how wide."""
    first = weights.get("dense.0.weight")
    if first is None:
        return modules
    inner = first[1][0]
    return modules | {"dense.0": linear(inner, width, False), "dense.1": linear(width, inner, False)}


def qwen3_name(name: str) -> str | None:
    if "self_attn.rotary_emb.inv_freq" in name or "lm_head" in name:
        return None
    return name if name.startswith("model.") else "model." + name


def bert_name(name: str) -> str | None:
    name = replaced(name, BERT_NAMES)
    return None if name == "embeddings.position_ids" else name


FAMILIES = {
    "bert": (bert_modules, bert_name),
    "roberta": (bert_modules, bert_name),
    "xlm-roberta": (bert_modules, bert_name),
    "distilbert": (bert_modules, bert_name),
    "qwen3": (qwen3_modules, qwen3_name),
    "gemma3": (gemma3_modules, gemma3_name),
    "gemma3_text": (gemma3_modules, gemma3_name),
    "gemma3n": (gemma3_modules, gemma3_name),
    "nomic_bert": (nomic_modules, nomic_name),
}
NOT_HERE = {"lfm2"}


def form_of(quantization: dict, path: str) -> dict | None:
    """Bits, group size and mode of a module with scales."""
    entry = quantization.get(path, {key: quantization.get(key) for key in ("group_size", "bits", "mode")})
    if entry is False:
        return None
    form = {"mode": "affine"} | {key: value for key, value in entry.items() if value is not None}
    if "bits" not in form or "group_size" not in form or form["mode"] not in MODES:
        raise Refused(f'"quantization" of {path} is {entry}')
    return form


def expected_tensors(modules: dict, weights: dict, quantization: dict | None) -> dict[str, tuple[list[int], bool]]:
    """Shape of every tensor, and whether it has to be uint32."""
    tensors = {}
    for path, (kind, *sizes) in modules.items():
        if kind == "norm":
            width, bias = sizes
            tensors[f"{path}.weight"] = ([width], False)
            if bias:
                tensors[f"{path}.bias"] = ([width], False)
            continue
        rows, columns = sizes[:2]
        form = form_of(quantization, path) if quantization is not None and f"{path}.scales" in weights else None
        if form:
            words, rest = divmod(columns * form["bits"], 32)
            groups, rest_of_groups = divmod(columns, form["group_size"])
            if rest or rest_of_groups:
                raise Refused(f"{path} has {columns} columns, which groups of {form['group_size']} do not divide")
            tensors[f"{path}.weight"] = ([rows, words], True)
            tensors[f"{path}.scales"] = ([rows, groups], form["mode"] != "affine")
            if form["mode"] == "affine":
                tensors[f"{path}.biases"] = ([rows, groups], False)
        else:
            tensors[f"{path}.weight"] = ([rows, columns], False)
        if kind == "linear" and sizes[2]:
            tensors[f"{path}.bias"] = ([rows], False)
    return tensors


def compare(weights: dict, expected: dict) -> None:
    if missing := sorted(expected.keys() - weights.keys()):
        raise Refused(f"{len(missing)} tensors are missing, as {missing[0]}")
    if unknown := sorted(weights.keys() - expected.keys()):
        raise Refused(f"{len(unknown)} tensors have no place, as {unknown[0]}")
    for name, (shape, packed) in expected.items():
        dtype, stored = weights[name]
        if stored != shape:
            raise Refused(f"{name} is {stored}, expected {shape}")
        if name.endswith(".weight") and (dtype == "U32") != packed:
            raise Refused(f"{name} is {dtype}")
        if dtype in ("F64", "I8"):
            raise Refused(f"{name} is {dtype}, which no module computes with")


def pooling(folder: pathlib.Path) -> str | None:
    """The pooling that 1_Pooling/config.json gives; None if Swift can't decode the file."""
    path = folder / "1_Pooling" / "config.json"
    try:
        config = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    flags = ["pooling_mode_cls_token", "pooling_mode_mean_tokens", "pooling_mode_max_tokens", "pooling_mode_lasttoken"]
    if type(config.get("word_embedding_dimension")) is not int:
        return None
    if any(type(config.get(flag, False)) is not bool for flag in flags):
        return None
    return next((name for flag, name in zip(flags, ("cls", "mean", "max", "last")) if config.get(flag)), "first")


def differences(folder: pathlib.Path, config: dict) -> list[str]:
    """What Swift computes otherwise than sentence-transformers, though it loads the folder."""
    found = []
    kind = pooling(folder)
    modules = folder / "modules.json"
    types = [str(module.get("type", "")) for module in read_json(modules)] if modules.exists() else []
    is_bert = config["model_type"] in ("bert", "roberta", "xlm-roberta")
    if (folder / "1_Pooling").is_dir() and kind is None:
        found.append("1_Pooling/config.json can't be decoded, so " +
                     ("tanh of the pooler is the vector" if is_bert else "the last token's vector is taken"))
    if kind == "cls" and is_bert:
        found.append("the first token's vector goes through the pooler and tanh")
    if kind == "max":
        found.append("in a padded batch, the maximum takes padding for zeros")
    if config["model_type"].startswith("gemma3") and config.get("use_bidirectional_attention"):
        found.append("it attends to earlier tokens only")
    if any(kind_of.rsplit(".", 1)[-1] in ("Dense", "LayerNorm", "WordWeights") for kind_of in types):
        found.append("modules after the pooling are left out")
    activation = config.get("hidden_act", config.get("activation", "gelu"))
    if is_bert and activation not in ("gelu", "gelu_python"):
        found.append(f"{activation} is computed as exact GELU")
    return found


def check(folder: pathlib.Path) -> list[str]:
    config = read_json(folder / "config.json")
    kind = config.get("model_type")
    if kind in NOT_HERE:
        raise Refused(f"this tool has no rules for {kind}")
    if kind not in FAMILIES:
        raise Refused(f"it has no model_type {kind}")
    modules_of, name_of = FAMILIES[kind]
    stored = {}
    for file in weight_files(folder):
        stored |= headers(file)
    weights = {new: entry for name, entry in stored.items() if (new := name_of(name)) is not None}
    modules = modules_of(config)
    if name_of is gemma3_name:
        modules = with_dense_head(modules, weights, modules["model.norm"][1])
    compare(weights, expected_tensors(modules, weights, config.get("quantization")))
    if not (folder / "tokenizer.json").exists():
        raise Refused("there is no tokenizer.json")
    return differences(folder, config)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    failed = False
    for folder in parser.parse_args().folders:
        try:
            found = check(folder)
            print(f"{folder}: loads" + (" but differs: " + "; ".join(found) if found else ""))
        except Refused as error:
            failed = True
            print(f"{folder}: can't load: {error}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
