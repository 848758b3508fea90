"""LlamaIndex: an index and its retriever."""

from llama_index.core import VectorStoreIndex
from llama_index.core.schema import TextNode

from mlx_encoder.integrations.llama_index import MlxEncoderEmbedding

texts = ["The sky is blue.", "Bees live in hives.", "Stocks fell on Monday.", "A cat sleeps on the sofa."]
index = VectorStoreIndex([TextNode(text=text) for text in texts], embed_model=MlxEncoderEmbedding("all-MiniLM-L6-v2"))

retriever = index.as_retriever(similarity_top_k=1)
print(retriever.retrieve("Where do insects dwell?")[0].node.text)
