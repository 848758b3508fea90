"""Embeddings and a reranker for LlamaIndex (llama-index-core)."""

import asyncio
from collections.abc import Mapping
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle

from mlx_encoder._arguments import Path
from mlx_encoder.encoder import Encoder
from mlx_encoder.errors import UsageError
from mlx_encoder.integrations._model import encode_options, encoder_of, name_of


class MlxEncoderEmbedding(BaseEmbedding):
    """Vectors for LlamaIndex' indexes.

    Texts go through ``Encoder.encode_document``, queries through ``Encoder.encode_query``: the model's prompts and routes
    are used. Asynchronous calls run on a thread, without the GIL.

    Args:
        model_name: An :class:`Encoder`, a folder, a weight file or a name on the Hugging Face hub. ``to_dict()`` has its name, or
            the folder of an Encoder.
        model_kwargs: Arguments of :class:`Encoder`, if it is none. ``to_dict()`` leaves a token out.
        encode_kwargs: Arguments of both methods, such as ``{"normalize_embeddings": True}``.
        embed_batch_size: Most texts of a call. The library makes batches of its own of them.
        fields: Others of ``BaseEmbedding``.
    """

    model_kwargs: dict[str, Any] = Field(default_factory=dict, description="Arguments of Encoder.")
    encode_kwargs: dict[str, Any] = Field(default_factory=dict, description="Arguments of encode_query and encode_document.")
    _encoder: Encoder = PrivateAttr()

    def __init__(
        self,
        model_name: Encoder | Path,
        *,
        model_kwargs: Mapping[str, Any] | None = None,
        encode_kwargs: Mapping[str, Any] | None = None,
        embed_batch_size: int = 256,
        **fields: Any,
    ) -> None:
        encoder = encoder_of(model_name, model_kwargs)
        super().__init__(
            model_name=name_of(model_name),
            model_kwargs={name: value for name, value in (model_kwargs or {}).items() if name != "token"},
            encode_kwargs=encode_options(encode_kwargs),
            embed_batch_size=embed_batch_size,
            **fields,
        )
        self._encoder = encoder

    @classmethod
    def class_name(cls) -> str:
        """Its name in LlamaIndex' serialization."""
        return "MlxEncoderEmbedding"

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self._encoder.encode_document(texts, **self.encode_kwargs).tolist()
        return vectors

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        vector: list[float] = self._encoder.encode_query(query, **self.encode_kwargs).tolist()
        return vector

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)


class MlxEncoderRerank(BaseNodePostprocessor):
    """Orders nodes by how well they answer the query, by a reranker; their scores become the reranker's.

    Args:
        model: An :class:`Encoder`, a folder, a weight file or a name on the Hugging Face hub.
        top_n: Most nodes of the result. None: all.
        model_kwargs: Arguments of :class:`Encoder`, if it is none.
    """

    model: str = Field(description="The reranker.")
    top_n: int | None = Field(default=None, description="Most nodes of the result.")
    model_kwargs: dict[str, Any] = Field(default_factory=dict, description="Arguments of Encoder.")
    _encoder: Encoder = PrivateAttr()

    def __init__(
        self,
        model: Encoder | Path,
        *,
        top_n: int | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        encoder = encoder_of(model, model_kwargs)
        super().__init__(model=name_of(model), top_n=top_n, model_kwargs=dict(model_kwargs or {}), **fields)
        self._encoder = encoder

    @classmethod
    def class_name(cls) -> str:
        """Its name in LlamaIndex' serialization."""
        return "MlxEncoderRerank"

    def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None) -> list[NodeWithScore]:
        if query_bundle is None:
            raise UsageError("MlxEncoderRerank: found no query, expected query_bundle or query_str")
        texts = [n.node.get_content(metadata_mode=MetadataMode.EMBED) for n in nodes]
        ranked = self._encoder.rerank(query_bundle.query_str, texts, top_k=self.top_n)
        return [NodeWithScore(node=nodes[r.index].node, score=r.score) for r in ranked]
