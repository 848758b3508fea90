"""Makes tests/data/tiny/bge_m3: a tiny model in the layout of BAAI/bge-m3, and what FlagEmbedding computes with it.

    python tools/make_m3_goldens.py        (environment: tools/requirements-goldens-m3.txt)

The encoder is the first layer of tests/data/tiny/xlm_roberta, the heads are random, in float16 as the published ones.

golden.safetensors: texts are stored ragged: `ids` [T], `token_types` [T], `offsets` [B + 1], under "texts.". Results, float32:
    layers.N       [T, D]   after the embeddings (0) and after the layer
    sentence       [B, D]   the dense vector
    token_weights  [T, 1]   of each token, before tokens are left out
    token_vectors  [T, C]   of each token, the first included
    lexical.offsets [B + 1], lexical.ids [N], lexical.weights [N, 1]   FlagEmbedding's lexical weights, by id
    scores.lexical, scores.vectors   [queries, documents]   lexical_matching_score and colbert_score; the texts numbered in
                   `queries` and `documents`
Each text runs alone. M3Embedder.encode gives the same in a batch within TOLERANCE, and so does float64 arithmetic.
"""

import json
import shutil
from pathlib import Path

import torch
import transformers
from FlagEmbedding import BGEM3FlagModel
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer

import tiny_tokenizers

OUT = Path(__file__).resolve().parent.parent / "tests" / "data" / "tiny" / "bge_m3"
MAX_TOKENS = 40
VECTOR = 24  # columns of a token's vector
TOLERANCE = 2e-6
MAX_FOLDER_BYTES = 150_000
TEXTS = [*tiny_tokenizers.TEXTS, "rain, rain, and the rain again"]
QUERIES, DOCUMENTS = [2, 3, 7], [0, 1, 4, 6, 7]


def write(path, content):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


def make_folder():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    base = OUT.parent / "xlm_roberta"
    for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(base / file, OUT)
    model = AutoModel.from_pretrained(base, num_hidden_layers=1, add_pooling_layer=False)
    model.save_pretrained(OUT)
    width = model.config.hidden_size
    torch.manual_seed(1)
    for name, size in (("sparse_linear", 1), ("colbert_linear", VECTOR)):
        state = dict(weight=torch.randn(size, width) / width**0.5, bias=torch.randn(size) * 0.2)
        torch.save({name: tensor.half() for name, tensor in state.items()}, OUT / f"{name}.pt")
    types = ("Transformer", "Pooling", "Normalize")
    write(OUT / "modules.json", [dict(idx=i, name=str(i), path="" if i == 0 else f"{i}_{t}",
                                      type=f"sentence_transformers.models.{t}") for i, t in enumerate(types)])
    write(OUT / "1_Pooling/config.json", dict(
        word_embedding_dimension=width, pooling_mode_cls_token=True, pooling_mode_mean_tokens=False,
        pooling_mode_max_tokens=False, pooling_mode_mean_sqrt_len_tokens=False))
    write(OUT / "sentence_bert_config.json", dict(max_seq_length=MAX_TOKENS, do_lower_case=False))
    write(OUT / "config_sentence_transformers.json", dict(
        __version__=dict(sentence_transformers="2.2.2", transformers="4.33.0", pytorch="2.1.2+cu121")))


def run(model, heads, ids):
    """The results of one text, for each token."""
    with torch.no_grad():
        out = model(input_ids=ids[None], output_hidden_states=True)
        hidden = out.last_hidden_state[0]
        return dict(
            **{f"layers.{n}": layer[0] for n, layer in enumerate(out.hidden_states)},
            sentence=torch.nn.functional.normalize(hidden[:1], dim=-1),
            token_weights=torch.relu(heads["sparse_linear"](hidden)),
            token_vectors=torch.nn.functional.normalize(heads["colbert_linear"](hidden), dim=-1))


def load(dtype):
    model = AutoModel.from_pretrained(OUT, dtype=dtype, add_pooling_layer=False).eval()
    heads = {}
    for name in ("sparse_linear", "colbert_linear"):
        state = torch.load(OUT / f"{name}.pt", weights_only=True)
        heads[name] = torch.nn.Linear(state["weight"].shape[1], state["weight"].shape[0], dtype=dtype)
        heads[name].load_state_dict(state)
    return model, heads


def close(a, b):
    return a.shape == b.shape and (a - b).abs().max() <= TOLERANCE * b.abs().max()


def main():
    torch.set_num_threads(1)  # one order of summation
    transformers.logging.set_verbosity_error()
    make_folder()
    tokenizer = AutoTokenizer.from_pretrained(OUT)
    single, exact = load(torch.float32), load(torch.float64)
    ids = [torch.tensor(tokenizer(t, truncation=True, max_length=MAX_TOKENS)["input_ids"]) for t in TEXTS]
    rows = [run(*single, i) for i in ids]
    for row, i in zip(rows, ids, strict=True):
        for name, value in run(*exact, i).items():
            assert close(row[name].double(), value), name
    int32 = lambda values: torch.tensor(values, dtype=torch.int32)  # noqa: E731
    golden = {"texts.ids": torch.cat(ids).int(), "texts.token_types": torch.zeros(sum(map(len, ids)), dtype=torch.int32),
              "texts.offsets": int32([0, *map(len, ids)]).cumsum(0).int()}
    golden |= {"texts." + name: torch.cat([row[name] for row in rows]) for name in rows[0]}

    flag = BGEM3FlagModel(str(OUT), use_fp16=False, devices="cpu", colbert_dim=VECTOR)
    found = flag.encode(TEXTS, batch_size=3, max_length=MAX_TOKENS, return_dense=True, return_sparse=True,
                        return_colbert_vecs=True)
    lexical = [sorted((int(id), float(weight)) for id, weight in text.items()) for text in found["lexical_weights"]]
    assert close(torch.from_numpy(found["dense_vecs"]), golden["texts.sentence"])
    for row, i, vectors, weights in zip(rows, ids, found["colbert_vecs"], lexical, strict=True):
        assert close(torch.from_numpy(vectors), row["token_vectors"][1:])
        for id, weight in weights:
            assert close(torch.tensor([weight]), row["token_weights"][i == id].max()[None])
    assert lexical[5] == [] and tokenizer.unk_token_id in ids[4] and any(len(w) < len(i) - 2 for w, i in zip(lexical, ids))
    golden["lexical.offsets"] = int32([0, *map(len, lexical)]).cumsum(0).int()
    golden["lexical.ids"] = int32([id for text in lexical for id, _ in text])
    golden["lexical.weights"] = torch.tensor([[weight] for text in lexical for _, weight in text])
    golden["queries"], golden["documents"] = int32(QUERIES), int32(DOCUMENTS)
    all_pairs = lambda score, of: torch.tensor([[float(score(of[q], of[d])) for d in DOCUMENTS] for q in QUERIES])  # noqa: E731
    golden["scores.lexical"] = all_pairs(flag.compute_lexical_matching_score, found["lexical_weights"])
    golden["scores.vectors"] = all_pairs(flag.colbert_score, found["colbert_vecs"])
    save_file({name: tensor.contiguous() for name, tensor in golden.items()}, OUT / "golden.safetensors")
    write(OUT / "m3.json", TEXTS)
    for file in OUT.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)
    size = sum(f.stat().st_size for f in OUT.rglob("*") if f.is_file())
    print(f"{OUT.name} {size} bytes, {len(golden['texts.ids'])} tokens, {len(golden['lexical.ids'])} lexical weights")
    assert size < MAX_FOLDER_BYTES


if __name__ == "__main__":
    main()
