"""A model for MTEB (mteb 2)."""

import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ModelMeta, ScoringFunction
from mteb.types import PromptType

from mlx_encoder._arguments import Path
from mlx_encoder.encoder import Encoder
from mlx_encoder.integrations._model import encoder_of, name_of


class MlxEncoderModel(AbsEncoder):
    """A model to give to ``mteb.evaluate``.

    Prompts are chosen as for models of sentence-transformers: by task and prompt type, by task, by type of task and prompt
    type, by type of task, or else those of ``encode_query`` and ``encode_document``.

    MTEB keeps results by name and revision in a cache. Name a model anew after you changed it, or pass
    ``mteb.evaluate(..., cache=None)``.

    Args:
        model_name: An :class:`Encoder`, a folder, a weight file or a name on the Hugging Face hub.
        revision: Of a model of the hub. For other models: part of the name of results.
        device: ``None`` or ``"cpu"``.
        name: ``"organization/model"``: the name of results. None: ``"mlx-encoder/"`` and the folder's name.
        model_prompts: Prompts by such keys, instead of the model's own.
        model_kwargs: Arguments of :class:`Encoder`.
    """

    def __init__(
        self,
        model_name: Encoder | Path,
        revision: str | None = None,
        *,
        device: str | None = None,
        name: str | None = None,
        model_prompts: Mapping[str, str] | None = None,
        **model_kwargs: Any,
    ) -> None:
        on_hub = isinstance(model_name, str) and not pathlib.Path(model_name).exists()
        if device is not None:
            model_kwargs["device"] = device
        if on_hub and revision is not None:
            model_kwargs["revision"] = revision
        self.model = encoder_of(model_name, model_kwargs)
        self.model_prompts = dict(self.model.prompts if model_prompts is None else model_prompts)
        local = f"mlx-encoder/{pathlib.Path(name_of(model_name)).resolve().name}"
        self.mteb_model_meta = ModelMeta.create_empty(
            overwrites={
                "name": name or (name_of(model_name) if on_hub else local),
                "revision": revision,
                "loader": type(self),
                "max_tokens": self.model.max_seq_length,
                "embed_dim": self.model.dimension,
                "similarity_fn_name": ScoringFunction.from_str(self.model.similarity_fn_name),
            }
        )

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: PromptType | None = None,
        **kwargs: Any,
    ) -> Any:
        """Vectors of the column ``"text"`` of all batches: float32 ``[texts, dimension]``.

        Args:
            kwargs: Of :meth:`Encoder.encode`.
        """
        del hf_split, hf_subset
        encode = {PromptType.query: self.model.encode_query, PromptType.document: self.model.encode_document}.get(
            prompt_type, self.model.encode
        )
        name = self.get_prompt_name(task_metadata, prompt_type)
        prompt = None if name is None else self.model_prompts[name]
        return encode([text for batch in inputs for text in batch["text"]], prompt=prompt, **kwargs)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """The model's, as a torch tensor: see :meth:`Encoder.similarity`."""
        return torch.as_tensor(self.model.similarity(embeddings1, embeddings2))

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """The model's, as a torch tensor: see :meth:`Encoder.similarity_pairwise`."""
        return torch.as_tensor(self.model.similarity_pairwise(embeddings1, embeddings2))
