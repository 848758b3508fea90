"""Components in the real haystack-ai."""

import asyncio

import pytest

pytest.importorskip("haystack", reason="haystack-ai is not installed: make test-integrations")

from haystack import Document, Pipeline  # noqa: E402
from haystack.components.retrievers import InMemoryEmbeddingRetriever  # noqa: E402
from haystack.document_stores.in_memory import InMemoryDocumentStore  # noqa: E402

from mlx_encoder.integrations.haystack import MlxEncoderDocumentEmbedder, MlxEncoderRanker, MlxEncoderTextEmbedder  # noqa: E402

TEXTS = ["The sky is blue.", "Bees live in hives.", "Stocks fell on Monday."]


def test_texts_and_documents_are_those_of_the_encoder(load, tiny):
    encoder = load("st_prompts")
    text = MlxEncoderTextEmbedder(tiny("st_prompts")).run(TEXTS[0])
    assert text == {"embedding": encoder.encode_query(TEXTS[0]).tolist()}
    documents = [Document(content=t, meta={"title": "A title", "empty": None}) for t in TEXTS]
    embedder = MlxEncoderDocumentEmbedder(tiny("st_prompts"))
    found = embedder.run(documents)["documents"]
    assert [d.embedding for d in found] == encoder.encode_document(TEXTS).tolist() and found[0].id == documents[0].id
    assert documents[0].embedding is None and embedder.run([]) == {"documents": []}
    titled = MlxEncoderDocumentEmbedder(tiny("st_prompts"), meta_fields_to_embed=["title", "empty", "none"], embedding_separator=": ")
    (first, *_) = titled.run(documents)["documents"]
    assert first.embedding == encoder.encode_document("A title: The sky is blue.").tolist()
    with pytest.raises(TypeError, match="found list, expected a str"):
        MlxEncoderTextEmbedder(tiny("st_prompts")).run(TEXTS)
    with pytest.raises(TypeError, match="expected a list of Document"):
        embedder.run(TEXTS)


def test_the_model_is_loaded_when_warmed_up():
    embedder = MlxEncoderTextEmbedder("no-such-folder/model")
    with pytest.raises(FileNotFoundError):
        embedder.warm_up()


def test_pipelines_are_made_again_from_their_text(minilm):
    store = InMemoryDocumentStore()
    index = Pipeline()
    index.add_component("embedder", MlxEncoderDocumentEmbedder(minilm))
    store.write_documents(index.run({"embedder": {"documents": [Document(content=t) for t in TEXTS]}})["embedder"]["documents"])
    search = Pipeline()
    embedder = MlxEncoderTextEmbedder(minilm, model_kwargs={"threads": 1}, encode_kwargs={"normalize_embeddings": True})
    search.add_component("embedder", embedder)
    again = Pipeline.loads(search.dumps(), allowed_modules=[MlxEncoderTextEmbedder.__module__])
    assert again == search and again.to_dict() == search.to_dict() and "threads: 1" in search.dumps()
    for pipeline, run in ((search, search.run), (again, lambda data: asyncio.run(again.run_async(data)))):
        pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=1))
        pipeline.connect("embedder.embedding", "retriever.query_embedding")
        (found,) = run({"embedder": {"text": "Where do insects dwell?"}})["retriever"]["documents"]
        assert found.content == TEXTS[1]


def test_the_ranker(load, tiny):
    documents = [Document(content=t) for t in TEXTS]
    expected = load("bert_regression").rerank("Who keeps bees?", TEXTS)
    ranker = MlxEncoderRanker(tiny("bert_regression"), top_k=2)
    found = ranker.run(query="Who keeps bees?", documents=documents)["documents"]
    assert [(d.id, d.score) for d in found] == [(documents[r.index].id, r.score) for r in expected[:2]]
    assert len(asyncio.run(ranker.run_async(query="Who keeps bees?", documents=documents, top_k=1))["documents"]) == 1
    assert ranker.run(query="Who keeps bees?", documents=[]) == {"documents": []}
    assert MlxEncoderRanker.from_dict(ranker.to_dict()).to_dict() == ranker.to_dict()
