"""Makes tests/data/sparse_static: a SparseEncoder whose documents go through a masked language model and whose queries are
looked up in a table of weights, as opensearch-neural-sparse-encoding-doc models have it, and its vectors.

    python tools/make_sparse_static_golden.py        (environment: tools/requirements-goldens-5.txt)

vectors.safetensors has `query`, `document` and `none` [texts, vocabulary]: encode_query(), encode_document() and encode() of the
texts of tests/data/tiny/texts.json and of REPEATED.
"""

import shutil
import tempfile
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from sentence_transformers import SparseEncoder
from sentence_transformers.base.modules import Router, Transformer
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling
from transformers import AutoModelForMaskedLM, AutoTokenizer

import make_model_goldens
import tiny_tokenizers

OUT = make_model_goldens.OUT.parent / "sparse_static"
REPEATED = "the cat, the Cat and THE cat"
QUERY_TOKENS = 30  # fewer than the longest text has


def main():
    torch.set_num_threads(1)
    shutil.rmtree(OUT, ignore_errors=True)
    with tempfile.TemporaryDirectory() as base:
        base = Path(base)
        model = make_model_goldens.make_model(base, "distilbert", zlib.crc32(b"sparse_static"), AutoModelForMaskedLM, n_layers=1)
        model.save_pretrained(base)
        tokenizer = AutoTokenizer.from_pretrained(base)
        weights = np.random.default_rng(7).gamma(2, 1, len(tokenizer)).astype(np.float32)
        weights[tokenizer.all_special_ids] = 0
        tokenizer.model_max_length = QUERY_TOKENS
        documents = [Transformer(str(base), transformer_task="fill-mask", max_seq_length=24),
                     SpladePooling("max", "log1p_relu", len(tokenizer))]
        queries = [SparseStaticEmbedding(tokenizer, torch.from_numpy(weights), frozen=True)]
        encoder = SparseEncoder(modules=[Router.for_query_document(queries, documents)], device="cpu",
                                prompts={"query": "take: ", "document": ""})
        encoder.save_pretrained(str(OUT), create_model_card=False)
    encoder = SparseEncoder(str(OUT), device="cpu")
    texts = tiny_tokenizers.TEXTS + [REPEATED]
    alone = lambda encode: np.concatenate([  # noqa: E731
        encode([text], convert_to_sparse_tensor=False, show_progress_bar=False).numpy() for text in texts])
    vectors = {"query": alone(encoder.encode_query), "document": alone(encoder.encode_document), "none": alone(encoder.encode)}
    assert not np.array_equal(vectors["query"], vectors["document"]) and np.array_equal(vectors["none"], vectors["document"])
    save_file(vectors, OUT / "vectors.safetensors")
    make_model_goldens.make_readable(OUT)


if __name__ == "__main__":
    main()
