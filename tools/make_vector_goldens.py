"""Makes tests/data/vectors/: what sentence-transformers does with the options of a vector, and with pairs to rank.

    python tools/make_vector_goldens.py        (environment: tools/requirements-goldens.txt)

cases.json lists calls on folders of tests/data/tiny: the folder, the keys that are changed in its JSON files, the
method and its arguments. A case of "embed" has its vectors in vectors.safetensors under its name; a case of "rank" has
the result itself. Texts run one at a time, so that equal texts give equal scores.

vectors.safetensors also has float matrices and what quantize_embeddings makes of them: "NAME", "NAME.ranges" if given,
and "NAME.int8", ".uint8", ".binary", ".ubinary", ".float16".
"""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.util import quantize_embeddings

TESTS = Path(__file__).resolve().parent.parent / "tests" / "data"
OUT = TESTS / "vectors"
TEXTS = ["The cat sat on the warm piano.", "A question", "Take the second road along the river, then ask again!"]
DOCUMENTS = ["Nobody keeps bees in the harbour.", "The cat sat on the warm piano.", "The bread was still warm.",
             "The cat sat on the warm piano.", "", "He repairs clocks."]
QUERY = "Where is the cat?"
IDENTITY = "torch.nn.modules.linear.Identity"
SETTINGS = "config_sentence_transformers.json"


def embed(name, folder, method="encode", changes=None, **arguments):
    return dict(name=name, folder=folder, method=method, changes=changes or {}, arguments=arguments)


def prompts(default=None, **texts):
    return {SETTINGS: dict(prompts=texts, default_prompt_name=default)}


BOTH = dict(query="the road: ", document="a boat: ")
OTHERS = dict(query="the road: ", passage="a boat: ", corpus="the rain: ")
EMBED = [
    *(embed(f"{method}.{name}", "st_mean_norm", method, changes)
      for name, changes in {
          "both": prompts(**BOTH), "both_default": prompts("query", **BOTH), "others": prompts(**OTHERS),
          "others_default": prompts("passage", **OTHERS), "none": prompts(), "other_default": prompts("x", x="ask: "),
      }.items() for method in ("encode", "encode_query", "encode_document")),
    # the prompt's tokens are not pooled
    embed("encode_query.left_out", "st_prompts", "encode_query"),
    embed("encode_document.left_out", "st_prompts", "encode_document"),
    # sentence-transformers does not normalize after it truncates, unless it is told to
    embed("dim.normalized", "st_mean_norm", truncate_dim=7, normalize_embeddings=True),
    embed("dim.dense", "st_dense", truncate_dim=16, normalize_embeddings=True),
    embed("dim.plain", "st_cls", truncate_dim=7),
    embed("dim.plain_normalized", "st_cls", truncate_dim=7, normalize_embeddings=True),
    embed("dim.own", "st_cls", changes={SETTINGS: dict(truncate_dim=9)}),
    embed("dim.own_normalized", "st_mean_norm", changes={SETTINGS: dict(truncate_dim=9)}, normalize_embeddings=True),
    embed("dim.own_overridden", "st_cls", changes={SETTINGS: dict(truncate_dim=9)}, truncate_dim=20),
    embed("dim.own_too_large", "st_cls", changes={SETTINGS: dict(truncate_dim=900)}),
    embed("normalize", "st_cls", normalize_embeddings=True),
]
RANK = [
    dict(name="sigmoid", folder="xlm_roberta_cls", changes={}),
    dict(name="identity", folder="xlm_roberta_cls",
         changes={"config.json": dict(sentence_transformers=dict(activation_fn=IDENTITY, version="4.1.0"))}),
    # a regression: transformers' pipeline gives the logit, CrossEncoder its sigmoid
    dict(name="regression", folder="bert_regression", changes={}),
    dict(name="raw", folder="bert_regression", changes={}, raw=True),
    dict(name="top", folder="xlm_roberta_cls", changes={}, top_k=2),
]


def changed(case, parent):
    folder = Path(parent) / "model"
    shutil.copytree(TESTS / "tiny" / case["folder"], folder)
    for file, keys in case["changes"].items():
        values = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps(values | keys))
    return str(folder)


def matrices():
    """Float matrices, and ranges."""
    random = np.random.default_rng(20)
    plain = random.standard_normal((120, 13)).astype(np.float32)
    edges = random.standard_normal((9, 24)).astype(np.float32)
    edges[:, 0] = 0.25  # a range of width 0
    edges[:, 1] = np.float32([0, -0.0, 1e-45, -1e-45, 3e-8, 6e-8, 65503, -65519, 5.96e-8])
    edges[:, 2] = np.linspace(0, 255, 9, dtype=np.float32)  # exact steps
    grid = np.stack([np.arange(256), np.arange(256) / 255, np.arange(256) / 1000 - 3], 1).astype(np.float32)
    ranges = np.stack([random.uniform(-1.5, -0.5, 13), random.uniform(0.5, 1.5, 13)])
    ranges[:, 5] = 0.5
    return dict(plain=(plain, None), one=(plain[:1], None), edges=(edges, None), grid=(grid, None),
                given=(plain, ranges.astype(np.float32)), given64=(plain, ranges))


def main():
    torch.set_num_threads(1)
    tensors = {}
    for case in EMBED:
        with tempfile.TemporaryDirectory() as parent:
            model = SentenceTransformer(changed(case, parent), device="cpu")
            call = getattr(model, case["method"])
            rows = [call([text], show_progress_bar=False, **case["arguments"])[0] for text in TEXTS]
        tensors[case["name"]] = np.stack(rows)
    for case in RANK:
        with tempfile.TemporaryDirectory() as parent:
            model = CrossEncoder(changed(case, parent), device="cpu")
            result = model.rank(QUERY, DOCUMENTS, top_k=case.get("top_k"), batch_size=1, show_progress_bar=False,
                                activation_fn=torch.nn.Identity() if case.get("raw") else None)
        case["result"] = [[row["corpus_id"], float(row["score"])] for row in result]
    for name, (values, ranges) in matrices().items():
        tensors[name] = values
        if ranges is not None:
            tensors[f"{name}.ranges"] = ranges
        tensors[f"{name}.float16"] = values.astype(np.float16)
        for precision in ("int8", "uint8", "binary", "ubinary"):
            tensors[f"{name}.{precision}"] = quantize_embeddings(values, precision=precision, ranges=ranges)
    OUT.mkdir(exist_ok=True)
    cases = dict(texts=TEXTS, embed=EMBED, query=QUERY, documents=DOCUMENTS, rank=RANK)
    (OUT / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
    save_file(tensors, OUT / "vectors.safetensors")
    print(f"{len(EMBED)} calls of encode, {len(RANK)} of rank, {len(matrices())} matrices")


if __name__ == "__main__":
    main()
