"""Makes tests/data/tiny/colbert and colbert_stanford: late interaction models in the layouts of PyLate and of Stanford's
ColBERT, and what PyLate computes with them.

    python tools/make_colbert_goldens.py        (environment: tools/requirements-goldens-colbert.txt)

The encoders are those of tests/data/tiny/modernbert and bert; the projections are random.

golden.safetensors: a group of texts is stored ragged: `ids` [T], `token_types` [T], `offsets` [B + 1]. "texts." are
documents, "query." queries with their expansion tokens; `keys` [B]: the tokens of a query that attention reads, which come
first. Results, float32:
    layers.N       [T, D]   after the embeddings (0) and after each layer, of the documents
    token_vectors  [T, D']  projected, of length 1
    scores         [queries, documents]   MaxSim of the queries and the tokens `kept` (rows of "texts.token_vectors") of the
                   documents, whose numbers are `kept_per_text` [B]
Each text runs alone. Queries run in a batch, too: the same within BATCH_TOLERANCE, and with float64 arithmetic.
"""

import json
import shutil
from pathlib import Path

import torch
import transformers
from pylate import models, scores
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

import tiny_tokenizers

OUT = Path(__file__).resolve().parent.parent / "tests" / "data" / "tiny"
DOCUMENTS = [tiny_tokenizers.TEXTS[n] for n in (0, 3, 5, 6)]
QUERIES = ["who came home?", "rain", "a [MASK] by the river, left or right, then again and again and again"]
TOLERANCE = 2e-6
MAX_FOLDER_BYTES = 170_000


def new_folder(name):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def as_pylate(folder):
    torch.manual_seed(1)
    base = folder / "base"
    shutil.copytree(OUT / "modernbert", base)
    config = json.loads((base / "config.json").read_text())
    config |= dict(num_hidden_layers=2, local_attention=48)  # wide enough for the expansion tokens of a query
    (base / "config.json").write_text(json.dumps(config))
    colbert = models.ColBERT(str(base), embedding_size=16, query_length=16, document_length=24, device="cpu")
    colbert.save_pretrained(str(folder))
    shutil.rmtree(base)
    (folder / "README.md").unlink(missing_ok=True)


def as_stanford(folder):
    torch.manual_seed(2)
    tokenizer = AutoTokenizer.from_pretrained(OUT / "bert")
    tokenizer.add_tokens(["[unused0]", "[unused1]"])
    model = AutoModel.from_pretrained(OUT / "bert", add_pooling_layer=False)
    model.resize_token_embeddings(len(tokenizer))
    tokenizer.save_pretrained(folder)
    model.config.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text()) | dict(architectures=["HF_ColBERT"])
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    tensors = {"bert." + name: tensor for name, tensor in model.state_dict().items()}
    tensors["linear.weight"] = torch.randn(16, 32) / 32**0.5
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors", {"format": "pt"})
    # some of the keys that colbertv2.0 has
    (folder / "artifact.metadata").write_text(json.dumps(dict(
        query_token_id="[unused0]", doc_token_id="[unused1]", query_token="[Q]", doc_token="[D]", query_maxlen=16,
        doc_maxlen=24, dim=16, similarity="cosine", mask_punctuation=True, attend_to_mask_tokens=False,
        checkpoint="colbert", nbits=2), indent=4) + "\n")


def vectors_of(colbert, features):
    """[texts, tokens, columns], of length 1."""
    with torch.no_grad():
        out = colbert(dict(features))
    return torch.nn.functional.normalize(out["token_embeddings"], p=2, dim=-1)


def golden_of(folder):
    colbert, exact = (models.ColBERT(str(folder), device="cpu") for _ in range(2))
    exact.double()
    golden = {}

    def add(prefix, texts, is_query):
        alone = [colbert.tokenize([text], is_query=is_query) for text in texts]
        ids = [f["input_ids"][0] for f in alone]
        rows = [vectors_of(colbert, f)[0] for f in alone]
        golden[prefix + "ids"] = torch.cat(ids).int()
        golden[prefix + "token_types"] = torch.zeros(sum(map(len, ids)), dtype=torch.int32)
        golden[prefix + "offsets"] = torch.tensor([0, *map(len, ids)]).cumsum(0).int()
        golden[prefix + "token_vectors"] = torch.cat(rows)
        for row, features in zip(rows, alone, strict=True):
            assert (vectors_of(exact, features)[0] - row).abs().max() <= TOLERANCE
        encoded = colbert.encode(texts, is_query=is_query, convert_to_tensor=True, show_progress_bar=False)
        if is_query:
            golden[prefix + "keys"] = torch.tensor([f["attention_mask"].sum() for f in alone]).int()
            kept = [torch.ones(len(i), dtype=torch.bool) for i in ids]
        else:
            kept = [colbert.skiplist_mask(i, colbert.skiplist) for i in ids]
            golden[prefix + "kept"] = torch.cat(kept).nonzero()[:, 0].int()
            golden[prefix + "kept_per_text"] = torch.tensor([k.sum() for k in kept]).int()
            layers = [colbert[0].auto_model(**f, output_hidden_states=True).hidden_states for f in alone]
            for n, _ in enumerate(layers[0]):
                states = [text[n][0].detach() for text in layers]
                if n + 1 == len(layers[0]) and hasattr(colbert[0].auto_model, "final_norm"):
                    states = [colbert[0].auto_model.final_norm(s).detach() for s in states]
                golden[f"{prefix}layers.{n}"] = torch.cat(states)
        for row, keep, whole in zip(rows, kept, encoded, strict=True):  # what a user gets, computed in a batch
            assert row[keep].shape == whole.shape and (row[keep] - whole).abs().max() <= TOLERANCE
        return [row[keep] for row, keep in zip(rows, kept, strict=True)]

    documents = add("texts.", DOCUMENTS, False)
    queries = add("query.", QUERIES, True)
    golden["scores"] = torch.stack([torch.stack([scores.colbert_scores(q[None], d[None])[0, 0] for d in documents])
                                    for q in queries])
    save_file({name: tensor.contiguous() for name, tensor in golden.items()}, folder / "golden.safetensors")
    texts = dict(queries=QUERIES, documents=DOCUMENTS)
    (folder / "late.json").write_text(json.dumps(texts, ensure_ascii=False) + "\n")
    for file in folder.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"{folder.name:18} {size:7} bytes, {golden['texts.ids'].numel()} tokens, {len(golden['texts.kept'])} kept")
    assert size < MAX_FOLDER_BYTES, folder


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    for name, make in (("colbert", as_pylate), ("colbert_stanford", as_stanford)):
        folder = new_folder(name)
        make(folder)
        golden_of(folder)


if __name__ == "__main__":
    main()
