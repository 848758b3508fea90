"""Makes tests/data/encoder_routers/: Routers with an encoder in each route, and what sentence-transformers computes with them.

    python tools/make_encoder_router_goldens.py        (environment: tools/requirements-goldens-5.txt)

NAME/ is a model folder. cases.json: the texts, and for each folder and method the vectors' name, or null where
sentence-transformers raises an error. vectors.safetensors: the vectors, each text alone.
"""

import json
import shutil
import tempfile
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from sentence_transformers import SentenceTransformer, SparseEncoder
from sentence_transformers.base.modules import Dense, Router, Transformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, StaticEmbedding
from sentence_transformers.sparse_encoder.modules import SpladePooling
from tokenizers import Tokenizer
from transformers import AutoModel, AutoModelForMaskedLM

import make_model_goldens
import tiny_tokenizers

OUT = make_model_goldens.OUT.parent / "encoder_routers"
WIDTH = 32
TEXTS = [text for text in tiny_tokenizers.TEXTS if text]
METHODS = ("encode", "encode_query", "encode_document")


def seeded(values, name):
    random = np.random.default_rng(zlib.crc32(name.encode()))
    return torch.from_numpy(random.standard_normal(tuple(values)).astype(np.float32))


def transformer(base, name, kind, max_length, auto=AutoModel, **options):
    folder = base / name
    folder.mkdir()
    make_model_goldens.make_model(folder, kind, zlib.crc32(name.encode()), auto, **options).save_pretrained(folder)
    task = {"transformer_task": "fill-mask"} if auto is AutoModelForMaskedLM else {}
    return Transformer(str(folder), max_seq_length=max_length, **task)


def dense(name, inner, outer=WIDTH):
    module = Dense(inner, outer, activation_function=torch.nn.Identity())
    for key, tensor in module.state_dict().items():
        tensor.copy_(seeded(tensor.shape, name + key) / np.sqrt(inner))
    return module


def small(base, name="small", outer=WIDTH):
    return [transformer(base, name, "distilbert", 12, n_layers=1), Pooling(32, "mean"), dense(name, 32, outer)]


def large(base):
    encoder = transformer(base, "large", "roberta", 30, hidden_size=64, num_hidden_layers=1, intermediate_size=64)
    return [encoder, Pooling(64, "cls"), dense("large", 64)]


def looked_up(base, limit=20):
    folder = base / "static"
    folder.mkdir()
    tiny_tokenizers.wordpiece(folder, 40)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    if limit:
        tokenizer.enable_truncation(limit)
    return StaticEmbedding(tokenizer, embedding_weights=seeded([tokenizer.get_vocab_size(), WIDTH], "static"))


def folders(base):
    """name: the model"""
    router = lambda queries, documents: Router.for_query_document(queries, documents)  # noqa: E731
    dense_model = lambda modules, **options: SentenceTransformer(modules=modules, device="cpu", **options)  # noqa: E731
    yield "two", lambda at: dense_model([router(small(at), large(at)), Normalize()], similarity_fn_name="dot",
                                        prompts={"query": "take: ", "document": "", "other": "left "})
    yield "static", lambda at: dense_model([router([looked_up(at), Normalize()], [*small(at), Normalize()])],
                                           prompts={"query": "the ", "document": ""})
    # Tasks are mapped, and a text without one has no route. The vectors of the routes have other widths.
    yield "mapped", lambda at: dense_model([Router({"first": [looked_up(at, None)], "second": small(at, outer=8)},
                                                   allow_empty_key=False,
                                                   route_mappings={("query", None): "second", ("document", "text"): "first"})])
    # As versions before 5.0 saved it, where the first route of the file is the default.
    yield "asym", lambda at: dense_model([Router({"query": [looked_up(at)], "document": small(at)}), Normalize()])
    yield "sparse", lambda at: SparseEncoder(device="cpu", modules=[router(
        *([transformer(at, name, "distilbert", 20, AutoModelForMaskedLM, n_layers=1), SpladePooling("max")] for name in ("q", "d")))])


def as_asym(folder):
    """Ids are numbers, the Router has a folder of its own, and classes and keys their earlier names."""
    config = json.loads((folder / "router_config.json").read_text())
    (folder / "router_config.json").unlink()
    asym = folder / "0_Asym"
    asym.mkdir()
    names = {}
    for number, (old, kind) in enumerate(config["types"].items(), 140):
        names[old] = f"{number}_{kind.split('.')[-1]}"
        (folder / old).rename(asym / names[old])
    earlier = lambda kind: "sentence_transformers.models." + kind.split(".")[-1].replace("Router", "Asym")  # noqa: E731
    (asym / "config.json").write_text(json.dumps({
        "types": {names[old]: earlier(kind) for old, kind in config["types"].items()},
        "structure": {route: [names[old] for old in ids] for route, ids in config["structure"].items()},
        "parameters": {"allow_empty_key": True}}, indent=2))
    modules = json.loads((folder / "modules.json").read_text())
    for module in modules:
        module["type"] = earlier(module["type"])
    modules[0]["path"] = "0_Asym"
    (folder / "modules.json").write_text(json.dumps(modules, indent=2))
    for pooling in asym.glob("*_Pooling/config.json"):
        pooling.write_text(json.dumps({"word_embedding_dimension": 32, "pooling_mode_cls_token": False,
                                       "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": False,
                                       "pooling_mode_mean_sqrt_len_tokens": False}))


def main():
    torch.set_num_threads(1)
    shutil.rmtree(OUT, ignore_errors=True)
    tensors, cases = {}, {}
    for name, make in folders(OUT):
        folder = OUT / name
        with tempfile.TemporaryDirectory() as parent:
            make(Path(parent)).save_pretrained(str(folder), create_model_card=False)
        if name == "asym":
            as_asym(folder)
        model = (SparseEncoder if name == "sparse" else SentenceTransformer)(str(folder), device="cpu")
        cases[name] = {}
        for method in METHODS:
            options = {"convert_to_sparse_tensor": False} if name == "sparse" else {}
            try:
                rows = [np.asarray(getattr(model, method)([text], show_progress_bar=False, **options)[0]) for text in TEXTS]
            except ValueError as error:
                print(name, method, error)
                cases[name][method] = None
                continue
            cases[name][method] = f"{name}.{method}"
            tensors[f"{name}.{method}"] = np.stack(rows).astype(np.float32)
    (OUT / "cases.json").write_text(json.dumps(dict(texts=TEXTS, folders=cases), indent=1, ensure_ascii=False) + "\n")
    save_file(tensors, OUT / "vectors.safetensors")
    make_model_goldens.make_readable(OUT)
    print({name: tensor.shape for name, tensor in tensors.items()})


if __name__ == "__main__":
    main()
