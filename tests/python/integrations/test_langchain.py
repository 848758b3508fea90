"""Embeddings and a reranker in the real langchain-core."""

import asyncio

import mlx_encoder
import pytest

pytest.importorskip("langchain_core", reason="langchain-core is not installed: make test-integrations")

from langchain_core.documents import Document  # noqa: E402
from langchain_core.vectorstores import InMemoryVectorStore  # noqa: E402

from mlx_encoder.integrations.langchain import MlxEncoderEmbeddings, MlxEncoderReranker  # noqa: E402

TEXTS = ["The sky is blue.", "Bees live in hives.", "Stocks fell on Monday."]


def test_documents_and_queries_are_those_of_the_encoder(load):
    encoder = load("st_prompts")
    embeddings = MlxEncoderEmbeddings(encoder)
    assert embeddings.embed_documents(TEXTS) == encoder.encode_document(TEXTS).tolist()
    assert embeddings.embed_query(TEXTS[0]) == encoder.encode_query(TEXTS[0]).tolist() != embeddings.embed_documents(TEXTS[:1])[0]
    assert embeddings.embed_documents([]) == []
    assert asyncio.run(embeddings.aembed_documents(TEXTS)) == embeddings.embed_documents(TEXTS)
    assert asyncio.run(embeddings.aembed_query(TEXTS[0])) == embeddings.embed_query(TEXTS[0])


def test_arguments(tiny, load):
    embeddings = MlxEncoderEmbeddings(tiny("st_prompts"), model_kwargs={"truncate_dim": 8}, encode_kwargs={"normalize_embeddings": True})
    vector = embeddings.embed_query("Who keeps bees?")
    assert len(vector) == 8 and sum(v * v for v in vector) == pytest.approx(1, abs=1e-6)
    with pytest.raises(mlx_encoder.UsageError, match="found an Encoder and arguments to load one \\(threads\\)"):
        MlxEncoderEmbeddings(load("st_prompts"), model_kwargs={"threads": 1})
    with pytest.raises(FileNotFoundError):
        MlxEncoderEmbeddings("no-such-folder/model")


def test_a_vector_store_and_its_retriever(minilm):
    store = InMemoryVectorStore.from_texts(TEXTS, MlxEncoderEmbeddings(minilm))
    assert store.similarity_search("Where do insects dwell?", k=1)[0].page_content == TEXTS[1]
    (document,) = asyncio.run(store.as_retriever(search_kwargs={"k": 1}).ainvoke("How did shares do?"))
    assert document.page_content == TEXTS[2]


def test_the_reranker(load):
    encoder = load("bert_regression")
    documents = [Document(text, metadata={"row": i}) for i, text in enumerate(TEXTS)]
    expected = encoder.rerank("Who keeps bees?", TEXTS)
    found = MlxEncoderReranker(encoder).compress_documents(documents, "Who keeps bees?")
    assert [(d.page_content, d.metadata["row"], d.metadata["relevance_score"]) for d in found] == [
        (r.text, r.index, r.score) for r in expected
    ]
    assert "relevance_score" not in documents[0].metadata
    best = MlxEncoderReranker(encoder, top_n=1)
    assert asyncio.run(best.acompress_documents(documents, "Who keeps bees?")) == found[:1]
    assert best.compress_documents([], "Who keeps bees?") == []
