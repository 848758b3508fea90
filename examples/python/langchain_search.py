"""LangChain: a vector store and its retriever."""

from langchain_core.vectorstores import InMemoryVectorStore

from mlx_encoder.integrations.langchain import MlxEncoderEmbeddings

texts = ["The sky is blue.", "Bees live in hives.", "Stocks fell on Monday.", "A cat sleeps on the sofa."]
embeddings = MlxEncoderEmbeddings("all-MiniLM-L6-v2", encode_kwargs={"normalize_embeddings": True})
store = InMemoryVectorStore.from_texts(texts, embeddings)

retriever = store.as_retriever(search_kwargs={"k": 1})
print(retriever.invoke("Where do insects dwell?")[0].page_content)
