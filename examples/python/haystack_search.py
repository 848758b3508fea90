"""Haystack: documents into a store, and a pipeline that searches it."""

from haystack import Document, Pipeline
from haystack.components.retrievers import InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore

from mlx_encoder.integrations.haystack import MlxEncoderDocumentEmbedder, MlxEncoderTextEmbedder

texts = ["The sky is blue.", "Bees live in hives.", "Stocks fell on Monday.", "A cat sleeps on the sofa."]
store = InMemoryDocumentStore(embedding_similarity_function="cosine")
embedder = MlxEncoderDocumentEmbedder("all-MiniLM-L6-v2")
store.write_documents(embedder.run([Document(content=text) for text in texts])["documents"])

search = Pipeline()
search.add_component("embedder", MlxEncoderTextEmbedder("all-MiniLM-L6-v2"))
search.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=1))
search.connect("embedder.embedding", "retriever.query_embedding")
print(search.run({"embedder": {"text": "Where do insects dwell?"}})["retriever"]["documents"][0].content)

# A pipeline from a file may only name modules that its reader allows.
again = Pipeline.loads(search.dumps(), allowed_modules=["mlx_encoder.integrations.haystack", "haystack.*"])
assert again == search
