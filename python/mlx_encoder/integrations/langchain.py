"""Embeddings and a reranker for LangChain (langchain-core)."""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import Embeddings
from pydantic import ConfigDict, PrivateAttr

from mlx_encoder._arguments import Path
from mlx_encoder.encoder import Encoder
from mlx_encoder.integrations._model import encode_options, encoder_of


class MlxEncoderEmbeddings(Embeddings):
    """Vectors for LangChain's vector stores and retrievers.

    Documents go through ``Encoder.encode_document``, queries through ``Encoder.encode_query``: the model's prompts and
    routes are used. The asynchronous methods run on LangChain's threads, without the GIL.

    Args:
        model: An :class:`Encoder`, a folder, a weight file or a name on the Hugging Face hub.
        model_kwargs: Arguments of :class:`Encoder`, if ``model`` is none.
        encode_kwargs: Arguments of both methods, such as ``{"normalize_embeddings": True}``.

    Raises:
        UsageError: ``model_kwargs`` beside an Encoder; what :class:`Encoder` raises.
    """

    def __init__(
        self,
        model: Encoder | Path,
        *,
        model_kwargs: Mapping[str, Any] | None = None,
        encode_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.encoder = encoder_of(model, model_kwargs)
        self.encode_kwargs = encode_options(encode_kwargs)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A vector ``[dimension]`` for each text."""
        vectors: list[list[float]] = self.encoder.encode_document(texts, **self.encode_kwargs).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """The vector ``[dimension]`` of a query."""
        vector: list[float] = self.encoder.encode_query(text, **self.encode_kwargs).tolist()
        return vector


class MlxEncoderReranker(BaseDocumentCompressor):
    """Orders documents by how well they answer a query, by a reranker.

    Each document of the result is a copy with the score in ``metadata["relevance_score"]``.

    Args:
        model: An :class:`Encoder`, a folder, a weight file or a name on the Hugging Face hub.
        top_n: Most documents of the result. None: all.
        model_kwargs: Arguments of :class:`Encoder`, if ``model`` is none.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    top_n: int | None = None
    _encoder: Encoder = PrivateAttr()

    def __init__(self, model: Encoder | Path, *, top_n: int | None = None, model_kwargs: Mapping[str, Any] | None = None) -> None:
        super().__init__(top_n=top_n)
        self._encoder = encoder_of(model, model_kwargs)

    def compress_documents(self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None) -> Sequence[Document]:
        """The best documents, the best first."""
        del callbacks
        ranked = self._encoder.rerank(query, [d.page_content for d in documents], top_k=self.top_n)
        return [
            documents[r.index].model_copy(update={"metadata": {**documents[r.index].metadata, "relevance_score": r.score}}) for r in ranked
        ]
