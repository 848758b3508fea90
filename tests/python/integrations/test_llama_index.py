"""Embeddings and a reranker in the real llama-index-core."""

import asyncio

import pytest

pytest.importorskip("llama_index.core", reason="llama-index-core is not installed: make test-integrations")

from llama_index.core import VectorStoreIndex  # noqa: E402
from llama_index.core.schema import NodeWithScore, TextNode  # noqa: E402

from mlx_encoder.integrations.llama_index import MlxEncoderEmbedding, MlxEncoderRerank  # noqa: E402

TEXTS = ["The sky is blue.", "Bees live in hives.", "Stocks fell on Monday."]


def test_texts_and_queries_are_those_of_the_encoder(load):
    encoder = load("st_prompts")
    embedding = MlxEncoderEmbedding(encoder, embed_batch_size=2)
    assert embedding.get_text_embedding_batch(TEXTS) == encoder.encode_document(TEXTS).tolist()
    assert embedding.get_text_embedding(TEXTS[1]) == encoder.encode_document(TEXTS[1]).tolist()
    assert embedding.get_query_embedding(TEXTS[0]) == encoder.encode_query(TEXTS[0]).tolist() != embedding.get_text_embedding(TEXTS[0])
    assert asyncio.run(embedding.aget_text_embedding_batch(TEXTS)) == encoder.encode_document(TEXTS).tolist()
    assert asyncio.run(embedding.aget_text_embedding(TEXTS[1])) == embedding.get_text_embedding(TEXTS[1])
    assert asyncio.run(embedding.aget_query_embedding(TEXTS[0])) == embedding.get_query_embedding(TEXTS[0])


def test_it_is_made_again_from_its_dict(tiny):
    embedding = MlxEncoderEmbedding(tiny("st_prompts"), model_kwargs={"truncate_dim": 8}, encode_kwargs={"normalize_embeddings": True})
    again = MlxEncoderEmbedding.from_dict(embedding.to_dict())
    vector = again.get_query_embedding("Who keeps bees?")
    assert vector == embedding.get_query_embedding("Who keeps bees?") and len(vector) == 8
    assert again.model_name == tiny("st_prompts") and again.embed_batch_size == 256


def test_an_index(minilm):
    index = VectorStoreIndex([TextNode(text=text) for text in TEXTS], embed_model=MlxEncoderEmbedding(minilm))
    retriever = index.as_retriever(similarity_top_k=1)
    assert retriever.retrieve("Where do insects dwell?")[0].node.text == TEXTS[1]
    assert asyncio.run(retriever.aretrieve("How did shares do?"))[0].node.text == TEXTS[2]


def test_the_reranker(load, tiny):
    nodes = [NodeWithScore(node=TextNode(text=text), score=0.5) for text in TEXTS]
    expected = load("bert_regression").rerank("Who keeps bees?", TEXTS)
    found = MlxEncoderRerank(load("bert_regression")).postprocess_nodes(nodes, query_str="Who keeps bees?")
    assert [(n.node, n.score) for n in found] == [(nodes[r.index].node, r.score) for r in expected]
    assert nodes[0].score == 0.5
    best = MlxEncoderRerank.from_dict(MlxEncoderRerank(tiny("bert_regression"), top_n=1).to_dict())
    assert asyncio.run(best.apostprocess_nodes(nodes, query_str="Who keeps bees?")) == found[:1]
    assert best.postprocess_nodes([], query_str="Who keeps bees?") == []
    with pytest.raises(ValueError, match="found no query"):
        best.postprocess_nodes(nodes)
