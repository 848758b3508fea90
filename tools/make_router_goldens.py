"""Makes tests/data/routers/: modules with routes for queries and documents, and what sentence-transformers computes.

    python tools/make_router_goldens.py        (environment: tools/requirements-goldens.txt)

NAME/ holds the files of a folder beside the transformer of tests/data/tiny/st_mean_norm; a test copies them over it.
cases.json: the texts, and for each folder and method the vectors' name, or null where sentence-transformers raises an
error. vectors.safetensors: the vectors, each text alone.
"""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Router
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

TESTS = Path(__file__).resolve().parent.parent / "tests" / "data"
OUT = TESTS / "routers"
BASE = TESTS / "tiny" / "st_mean_norm"
TEXTS = ["The cat sat on the warm piano.", "A question", "Take the second road along the river, then ask again!"]
METHODS = ("encode", "encode_query", "encode_document")
KEPT = ("modules.json", "config_sentence_transformers.json")  # and the folders of modules


def dense(seed, outer, inner=32, activation=None):
    module = Dense(inner, outer, activation_function=activation or torch.nn.Identity())
    random = np.random.default_rng(seed)
    for tensor in module.state_dict().values():
        tensor.copy_(torch.from_numpy(random.standard_normal(tuple(tensor.shape)) / np.sqrt(inner)))
    return module


def folders():
    """name: (modules after the transformer, prompts)"""
    mean = lambda: Pooling(32, "mean")  # noqa: E731
    return {
        # as the documentation of Router proposes it; the default is the route of documents
        "router": ([mean(), Router.for_query_document(
            query_modules=[dense(1, 16, activation=torch.nn.Tanh()), Normalize()], document_modules=[dense(2, 16)])],
            {"query": "take the road: ", "document": ""}),
        # no route for documents nor for texts without a task; widths differ; a module after the Router
        "no_default": ([mean(), Router({"query": [dense(3, 8)], "passage": [dense(4, 12)]}, allow_empty_key=False),
                        Normalize()], {}),
        # each route pools, tasks are mapped, a route that is called like the modality goes before the default
        "mapped": ([Router({"first": [Pooling(32, "cls")], "second": [Pooling(32, "mean"), dense(5, 20)],
                            "text": [Pooling(32, "max"), Normalize()]}, default_route="first",
                           route_mappings={("query", None): "second", ("document", "text"): "first"})], {}),
        # as versions before 5.0 saved it: the first route in the file is the default
        "asym": ([mean(), Router({"query": [dense(6, 16)], "document": [dense(7, 16)]})], {}),
    }


def as_asym(folder):
    (folder / "2_Router").rename(folder / "2_Asym")
    modules = json.loads((folder / "modules.json").read_text())
    for module in modules:
        module["type"] = "sentence_transformers.models." + module["type"].split(".")[-1].replace("Router", "Asym")
    modules[2]["path"] = "2_Asym"
    (folder / "modules.json").write_text(json.dumps(modules, indent=2))
    router = folder / "2_Asym" / "router_config.json"
    router.unlink()
    names = {"query_0_Dense": "140_Dense", "document_0_Dense": "139_Dense"}
    for old, new in names.items():
        (folder / "2_Asym" / old).rename(folder / "2_Asym" / new)
    (folder / "2_Asym" / "config.json").write_text(json.dumps({
        "types": {new: "sentence_transformers.models.Dense" for new in names.values()},
        "structure": {"query": ["140_Dense"], "document": ["139_Dense"]},
        "parameters": {"allow_empty_key": True}}, indent=2))


def main():
    torch.set_num_threads(1)
    shutil.rmtree(OUT, ignore_errors=True)
    tensors, cases = {}, {}
    for name, (modules, prompts) in folders().items():
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / "model"
            transformer = SentenceTransformer(str(BASE), device="cpu")[0]
            SentenceTransformer(modules=[transformer, *modules], device="cpu", prompts=prompts).save_pretrained(
                str(folder), create_model_card=False)
            if name == "asym":
                as_asym(folder)
            model = SentenceTransformer(str(folder), device="cpu")
            cases[name] = {}
            for method in METHODS:
                try:
                    rows = [getattr(model, method)([text], show_progress_bar=False)[0] for text in TEXTS]
                except ValueError as error:
                    print(name, method, error)
                    cases[name][method] = None
                    continue
                cases[name][method] = f"{name}.{method}"
                tensors[f"{name}.{method}"] = np.stack(rows).astype(np.float32)
            for file in folder.iterdir():
                if file.name in KEPT:
                    (OUT / name).mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, OUT / name / file.name)
                elif file.is_dir():
                    shutil.copytree(file, OUT / name / file.name)
    (OUT / "cases.json").write_text(json.dumps(dict(texts=TEXTS, folders=cases), indent=1) + "\n")
    save_file(tensors, OUT / "vectors.safetensors")
    for file in OUT.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)
    print({name: tensor.shape for name, tensor in tensors.items()})


if __name__ == "__main__":
    main()
