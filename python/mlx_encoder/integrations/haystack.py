"""Embedders and a ranker for Haystack (haystack-ai)."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict

from mlx_encoder._arguments import Path
from mlx_encoder.encoder import Encoder
from mlx_encoder.integrations._model import encode_options, refuse_token


class _Component:
    """A component that loads its model when it is warmed up. ``to_dict`` has the arguments of its constructor."""

    # Haystack's decorator makes the class anew, where super() of the first one fails.
    def _configure(self, model: Path, model_kwargs: Mapping[str, Any] | None, **arguments: Any) -> None:
        self._arguments = {"model": os.fspath(model), "model_kwargs": dict(model_kwargs or {}), **arguments}
        self._encoder: Encoder | None = None

    def to_dict(self) -> dict[str, Any]:
        """Of the pipeline's serialization."""
        refuse_token(self._arguments["model_kwargs"])
        return dict(default_to_dict(self, **self._arguments))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        """Of the pipeline's serialization."""
        return default_from_dict(cls, data)

    def warm_up(self) -> None:
        """Loads the model. ``run`` does it, too, if it was not done."""
        if self._encoder is None:
            self._encoder = Encoder(self._arguments["model"], **self._arguments["model_kwargs"])

    def _warm_encoder(self) -> Encoder:
        self.warm_up()
        assert self._encoder is not None
        return self._encoder


@component
class MlxEncoderTextEmbedder(_Component):
    """The vector of a query, by ``Encoder.encode_query``: the model's prompts and routes are used.

    Args:
        model: A folder, a weight file or a name on the Hugging Face hub.
        model_kwargs: Arguments of :class:`Encoder`.
        encode_kwargs: Arguments of ``encode_query``, such as ``{"normalize_embeddings": True}``.
    """

    def __init__(self, model: Path, model_kwargs: dict[str, Any] | None = None, encode_kwargs: dict[str, Any] | None = None) -> None:
        self._configure(model, model_kwargs, encode_kwargs=encode_options(encode_kwargs))

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, Any]:
        """``embedding``: the values of the vector. Raises TypeError if ``text`` is no str."""
        if not isinstance(text, str):
            raise TypeError(f"text: found {type(text).__name__}, expected a str; MlxEncoderDocumentEmbedder takes documents")
        return {"embedding": self._warm_encoder().encode_query(text, **self._arguments["encode_kwargs"]).tolist()}

    @component.output_types(embedding=list[float])
    async def run_async(self, text: str) -> dict[str, Any]:
        """``run`` on a thread, without the GIL."""
        return await asyncio.to_thread(self.run, text)


@component
class MlxEncoderDocumentEmbedder(_Component):
    """Vectors of documents, by ``Encoder.encode_document``.

    Args:
        model: A folder, a weight file or a name on the Hugging Face hub.
        model_kwargs: Arguments of :class:`Encoder`.
        encode_kwargs: Arguments of ``encode_document``.
        meta_fields_to_embed: Fields of a document's ``meta`` to put before its content.
        embedding_separator: Between them and the content.
    """

    def __init__(
        self,
        model: Path,
        model_kwargs: dict[str, Any] | None = None,
        encode_kwargs: dict[str, Any] | None = None,
        meta_fields_to_embed: list[str] | None = None,
        embedding_separator: str = "\n",
    ) -> None:
        self._configure(
            model,
            model_kwargs,
            encode_kwargs=encode_options(encode_kwargs),
            meta_fields_to_embed=list(meta_fields_to_embed or []),
            embedding_separator=embedding_separator,
        )

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """``documents``: copies with their vectors in ``embedding``. Raises TypeError if something else is given."""
        if not isinstance(documents, list) or not all(isinstance(d, Document) for d in documents):
            raise TypeError("documents: expected a list of Document; MlxEncoderTextEmbedder takes a str")
        vectors = self._warm_encoder().encode_document([self._text(d) for d in documents], **self._arguments["encode_kwargs"])
        return {"documents": [replace(d, embedding=v.tolist()) for d, v in zip(documents, vectors)]}

    @component.output_types(documents=list[Document])
    async def run_async(self, documents: list[Document]) -> dict[str, Any]:
        """``run`` on a thread, without the GIL."""
        return await asyncio.to_thread(self.run, documents)

    def _text(self, document: Document) -> str:
        fields = (document.meta.get(name) for name in self._arguments["meta_fields_to_embed"])
        parts = [*(str(f) for f in fields if f is not None), document.content or ""]
        return str(self._arguments["embedding_separator"]).join(parts)


@component
class MlxEncoderRanker(_Component):
    """Orders documents by how well they answer a query, by a reranker.

    Args:
        model: A folder, a weight file or a name on the Hugging Face hub.
        top_k: Most documents of the result. None: all.
        model_kwargs: Arguments of :class:`Encoder`.
    """

    def __init__(self, model: Path, top_k: int | None = None, model_kwargs: dict[str, Any] | None = None) -> None:
        self._configure(model, model_kwargs, top_k=top_k)

    @component.output_types(documents=list[Document])
    def run(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, Any]:
        """``documents``: copies with the reranker's ``score``, the best first."""
        most = self._arguments["top_k"] if top_k is None else top_k
        ranked = self._warm_encoder().rerank(query, [d.content or "" for d in documents], top_k=most)
        return {"documents": [replace(documents[r.index], score=r.score) for r in ranked]}

    @component.output_types(documents=list[Document])
    async def run_async(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, Any]:
        """``run`` on a thread, without the GIL."""
        return await asyncio.to_thread(self.run, query, documents, top_k)
