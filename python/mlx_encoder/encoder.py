"""The class Encoder."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from mlx_encoder import _core
from mlx_encoder._arguments import Pair, Path, at_least_1, is_one_input, paths_of, texts_of
from mlx_encoder._progress import bar
from mlx_encoder.errors import UnsupportedError, UsageError
from mlx_encoder.results import Classification, Entity, FilledMask, ModelInfo, RankedDocument, Tokens
from mlx_encoder.similarity import Similarity, similarity_of
from mlx_encoder.vectors import Precision, quantize_embeddings

Task = Literal["", "query", "document"]
Aggregation = Literal["none", "simple", "first", "average", "max"]


class Encoder:
    """A text encoder: texts in; vectors, labels or tokens out.

    ::

        encoder = Encoder("sentence-transformers/all-MiniLM-L6-v2")
        vectors = encoder.encode(["The sky is blue.", "What colour is the sky?"])  # float32 [2, 384]

    It is immutable: threads may share one and call it at the same time. A text gives the same bits alone, in any batch and
    with any number of threads. A pickle of it holds its arguments and no weights: the model is loaded again where it is unpickled.

    Args:
        model_name_or_path: A folder, a weight file (.gguf, .onnx, ...) or a name on the Hugging Face hub, ``"org/name"`` or
            ``"org/name@revision"``. The cache is that of huggingface_hub.
        device: ``None`` or ``"cpu"``, for callers of sentence-transformers.
        prompts: Prompts by name, beside the model's own or in their place.
        default_prompt_name: The prompt of texts for which none is given, instead of the model's.
        similarity_fn_name: ``"cosine"``, ``"dot"``, ``"euclidean"`` or ``"manhattan"``, instead of the model's.
        cache_folder: Of models of the hub.
        trust_remote_code: Is accepted and has no effect: no code of a model is run.
        revision: Of a model of the hub: a branch, a tag or a commit.
        local_files_only: Read only the cache.
        token: For the hub; ``False``: none. An encoder that was given one cannot be pickled.
        truncate_dim: ``encode`` keeps this many values of each vector.
        max_seq_length: Most tokens of a text, special tokens included. None: the model's limit.
        engine: ``"cpu"``, ``"mlx"`` (needs the MLX module, which wheels do not have) or ``"auto"``.
        activations: ``"auto"``, ``"int8"``, ``"bf16"`` or ``"f32"``: type of activations in matrix products.
        threads: Of tokenizer and engine. 0: all cores.
        task: Of a model with changes for several tasks (jina-embeddings-v3): the one to merge, ``"retrieval.query"``. Its prompt
            is then the default. Of a Router with an encoder in each route: the route to take alone, ``"query"``.
        adapters: LoRA adapters to merge, in order: folders or names on the hub.
        allow_unknown: Run a model whose layers have tensors that its architecture does not have.
        show_progress_bar: Of a download. Needs tqdm.

    Raises:
        NotFoundError, IoError, FormatError, UnsupportedError, UsageError
    """

    # No other attribute can be set: a misspelt one, or one that sentence-transformers has, would have no effect.
    __slots__ = ("_model", "_info", "_truncate_dim", "_own_prompts", "_default_prompt_name", "_similarity_fn_name", "_arguments", "__weakref__")

    def __init__(
        self,
        model_name_or_path: Path,
        *,
        device: str | None = None,
        prompts: dict[str, str] | None = None,
        default_prompt_name: str | None = None,
        similarity_fn_name: Similarity | None = None,
        cache_folder: Path | None = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
        truncate_dim: int | None = None,
        max_seq_length: int | None = None,
        engine: Literal["cpu", "mlx", "auto"] = "cpu",
        activations: Literal["auto", "int8", "bf16", "f32"] = "auto",
        threads: int = 0,
        task: str | None = None,
        adapters: Path | Sequence[Path] = (),
        allow_unknown: bool = False,
        show_progress_bar: bool | None = None,
    ) -> None:
        del trust_remote_code
        _require_cpu(device)
        name = os.fspath(model_name_or_path)
        with bar(show_progress_bar, name) as progress:
            self._model, self._info = _core.load(
                model=f"{name}@{revision}" if revision else name,
                task=task or "",
                adapters=paths_of(adapters),
                cache_folder=os.fspath(cache_folder) if cache_folder is not None else None,
                token="" if token is False else None if token is True else token,
                offline=True if local_files_only else None,
                engine=engine,
                activations=activations,
                threads=threads,
                max_length=at_least_1(max_seq_length, "max_seq_length"),
                allow_unknown=allow_unknown,
                progress=progress,
            )
        if at_least_1(truncate_dim, "truncate_dim") > self._info.dimension:
            raise UsageError(f"truncate_dim: found {truncate_dim}, the model's vectors have {self._info.dimension} values")
        self._truncate_dim = truncate_dim
        self._own_prompts = dict(prompts or {})
        self._default_prompt_name = default_prompt_name
        if default_prompt_name is not None and default_prompt_name not in self.prompts:
            raise UsageError(f"default_prompt_name: found {default_prompt_name!r}, expected one of {sorted(self.prompts)}")
        if similarity_fn_name is not None:
            similarity_of(similarity_fn_name)
        self._similarity_fn_name = similarity_fn_name or _similarity_of_folder(self._info.folder)

        # Of a pickle. A folder keeps its place in a process of another working directory, a model of the hub its commit.
        self._arguments = {
            "model_name_or_path": _place(name, revision, self._info.folder),
            "prompts": dict(self._own_prompts),
            "default_prompt_name": default_prompt_name,
            "similarity_fn_name": similarity_fn_name,
            "cache_folder": os.path.abspath(cache_folder) if cache_folder is not None else None,
            "local_files_only": local_files_only,
            "token": token,
            "truncate_dim": truncate_dim,
            "max_seq_length": max_seq_length,
            "engine": engine,
            "activations": activations,
            "threads": threads,
            "task": task,
            "adapters": [_place(a) for a in paths_of(adapters)],
            "allow_unknown": allow_unknown,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        if isinstance(self._arguments["token"], str):
            raise TypeError("Encoder: was given a token, which a pickle would hold; leave it out, and set HF_TOKEN where it is unpickled")
        return _load, (type(self), self._arguments)

    def __copy__(self) -> "Encoder":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "Encoder":
        """Itself, because it is immutable."""
        return self

    def __repr__(self) -> str:
        """Its folder, architecture and engine."""
        i = self._info
        return f"Encoder({i.folder!r}, model_type={i.model_type!r}, engine='{i.engine} ({i.engine_variant})')"

    # ---- vectors

    def encode(
        self,
        inputs: str | Iterable[str] | None = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        output_value: Literal["sentence_embedding", "token_embeddings"] = "sentence_embedding",
        precision: Precision | None = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | None = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        *,
        sentences: str | Iterable[str] | None = None,
    ) -> Any:
        """Vectors of texts, through the model's own pipeline (mean pooling if it has none).

        Args:
            inputs: A str, or several: a list, a NumPy array, a generator, ...
            prompt_name: A prompt of the model to put before each text.
            prompt: A literal prompt.
            batch_size: Is accepted. The library makes its own batches, and a text's bits do not depend on them.
            show_progress_bar: Needs tqdm.
            output_value: ``"token_embeddings"``: vectors of tokens, of a late interaction model (ColBERT, bge-m3).
            precision: ``"float32"`` (also None), ``"float16"``, ``"int8"``, ``"uint8"``, ``"binary"`` or ``"ubinary"``; see
                :func:`quantize_embeddings`. The ranges of int8 and uint8 are those of these texts.
            convert_to_numpy: ``False``: torch tensors, a list of them.
            convert_to_tensor: A torch tensor over the same memory.
            device: ``None`` or ``"cpu"``.
            normalize_embeddings: Scale each vector to length 1.
            truncate_dim: The first values of each vector (Matryoshka models). If the model's vectors have length 1, they are
                scaled to it again.
            sentences: ``inputs``, under its other name in sentence-transformers.

        Returns:
            float32 ``[dimension]`` for a str, ``[texts, dimension]`` else; of other types with another ``precision``
            (``binary``: 8 values a byte). No values are copied. ``"token_embeddings"``: a float32 array
            ``[tokens, dimension]`` a text.

        Raises:
            UsageError: An unknown prompt; a dimension above the model's.
            FormatError: A text without a token. Names the text.
            TypeError: Something else than texts.

        Warns:
            EncoderWarning: A text was truncated to :attr:`max_seq_length` tokens, ...
        """
        return self._encode("", inputs, sentences, prompt_name, prompt, batch_size, show_progress_bar, output_value, precision,
                            convert_to_numpy, convert_to_tensor, device, normalize_embeddings, truncate_dim)  # fmt: skip

    def encode_query(
        self,
        inputs: str | Iterable[str] | None = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        output_value: Literal["sentence_embedding", "token_embeddings"] = "sentence_embedding",
        precision: Precision | None = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | None = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        *,
        sentences: str | Iterable[str] | None = None,
    ) -> Any:
        """Vectors of queries: :meth:`encode` with the model's prompt ``"query"``, if it has one, and a Router's modules."""
        return self._encode("query", inputs, sentences, prompt_name, prompt, batch_size, show_progress_bar, output_value, precision,
                            convert_to_numpy, convert_to_tensor, device, normalize_embeddings, truncate_dim)  # fmt: skip

    def encode_document(
        self,
        inputs: str | Iterable[str] | None = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        output_value: Literal["sentence_embedding", "token_embeddings"] = "sentence_embedding",
        precision: Precision | None = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | None = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        *,
        sentences: str | Iterable[str] | None = None,
    ) -> Any:
        """Vectors of documents: :meth:`encode` with the prompt ``"document"``, if the model has one, and a Router's modules."""
        return self._encode("document", inputs, sentences, prompt_name, prompt, batch_size, show_progress_bar, output_value, precision,
                            convert_to_numpy, convert_to_tensor, device, normalize_embeddings, truncate_dim)  # fmt: skip

    def _encode(self, task: Task, inputs: Any, sentences: Any, prompt_name: str | None, prompt: str | None, batch_size: int,
                show_progress_bar: bool | None, output_value: str, precision: Precision | None, convert_to_numpy: bool,
                convert_to_tensor: bool, device: str | None, normalize: bool, truncate_dim: int | None) -> Any:  # fmt: skip
        at_least_1(batch_size, "batch_size")
        precision = precision or "float32"
        _require_cpu(device)
        if (inputs is None) == (sentences is None):
            raise TypeError("encode: give inputs or sentences, two names of one argument")
        given = sentences if inputs is None else inputs
        texts = texts_of(given)
        torch = None if convert_to_numpy and not convert_to_tensor else _torch()
        if output_value == "token_embeddings":
            if prompt_name is not None or prompt is not None or precision != "float32" or normalize or truncate_dim is not None:
                raise UsageError("output_value='token_embeddings': takes no prompt, precision, normalize_embeddings or truncate_dim")
            arrays = self._token_vectors(task, texts, show_progress_bar)
            many = arrays if torch is None else [torch.from_numpy(a) for a in arrays]
            return many[0] if isinstance(given, str) else many
        if output_value != "sentence_embedding":
            raise UnsupportedError(f"output_value: found {output_value!r}, expected 'sentence_embedding' or 'token_embeddings'")
        name, literal, task = self._prompt(task, prompt_name, prompt)
        with bar(show_progress_bar, "encode") as progress:
            vectors = self._model.encode(
                texts=texts,
                prompt_name=name,
                prompt=literal,
                task=task,
                dimension=at_least_1(self._truncate_dim if truncate_dim is None else truncate_dim, "truncate_dim"),
                normalize=bool(normalize),
                progress=progress,
            )
        if precision != "float32":
            vectors = quantize_embeddings(vectors, precision)
        if torch is not None:
            tensor = torch.from_numpy(vectors)
            return tensor[0] if isinstance(given, str) else tensor if convert_to_tensor else list(tensor)
        return vectors[0] if isinstance(given, str) else vectors

    def _token_vectors(self, task: Task, texts: list[str], show_progress_bar: bool | None) -> list[NDArray[np.float32]]:
        with bar(show_progress_bar, "encode") as progress:
            values, offsets = self._model.encode_tokens(texts=texts, task=task or "document", progress=progress)
        return [values[begin:end] for begin, end in zip(offsets, offsets[1:])]

    def _prompt(self, task: Task, name: str | None, literal: str | None) -> tuple[str, str | None, Task]:
        """Name, literal prompt and task, of which the library takes one: a named or literal prompt goes before the task's."""
        if name is not None and literal is not None:
            raise UsageError(f"a literal prompt and the prompt name {name!r} were given; give one of the two")
        if name is None and literal is None and (not task or task in self._own_prompts):
            name = task or self._default_prompt_name
        own = None if name is None else self._own_prompts.get(name)
        if own is not None:
            name, literal = None, own
        if (name or literal is not None) and not self._info.routes:
            task = ""
        return name or "", literal, task

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """How similar each vector of one set is to each of another.

        Args:
            embeddings1: ``[n, dimension]`` or ``[dimension]``.
            embeddings2: ``[m, dimension]`` or ``[dimension]``.

        Returns:
            float32 ``[n, m]``: by :attr:`similarity_fn_name`; distances (euclidean, manhattan) are negative. It is a NumPy array,
            or a torch tensor if one of the arguments is a torch tensor.

        Raises:
            UnsupportedError: A similarity of token vectors (MaxSim).
            UsageError: Codes of fewer bits (int8, uint8); vectors of different dimensions; more than two axes.
        """
        return similarity_of(self._similarity_fn_name)(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """How similar each vector of one set is to the vector of the other set in the same row.

        Args:
            embeddings1: ``[n, dimension]`` or ``[dimension]``.
            embeddings2: The same shape.

        Returns:
            float32 ``[n]``, as of :meth:`similarity`.

        Raises:
            UnsupportedError: A similarity of token vectors (MaxSim).
            UsageError: Vectors of different shapes; codes of fewer bits (int8, uint8).
        """
        return similarity_of(self._similarity_fn_name, pairwise=True)(embeddings1, embeddings2)

    # ---- heads

    @overload
    def classify(self, inputs: str | Pair, *, show_progress_bar: bool | None = None) -> Classification: ...
    @overload
    def classify(self, inputs: Iterable[str | Pair], *, show_progress_bar: bool | None = None) -> list[Classification]: ...
    def classify(
        self, inputs: str | Pair | Iterable[str | Pair], *, show_progress_bar: bool | None = None
    ) -> Classification | list[Classification]:
        """Labels of texts or pairs, by the model's classifier.

        Args:
            inputs: A str, or a pair as a tuple of two str; or a list of such.

        Returns:
            One :class:`Classification` for one input, else a list.

        Raises:
            UnsupportedError: The model has no classification head.
        """
        one = is_one_input(inputs)
        with bar(show_progress_bar, "classify") as progress:
            found = self._model.classify(inputs=[inputs] if one else texts_of(inputs), progress=progress)  # type: ignore[arg-type]
        return found[0] if one else found

    @overload
    def zero_shot(self, inputs: str, labels: str | Sequence[str], *, hypothesis_template: str = ..., multi_label: bool = False,
                  show_progress_bar: bool | None = None) -> Classification: ...  # fmt: skip
    @overload
    def zero_shot(self, inputs: Iterable[str], labels: str | Sequence[str], *, hypothesis_template: str = ..., multi_label: bool = False,
                  show_progress_bar: bool | None = None) -> list[Classification]: ...  # fmt: skip
    def zero_shot(
        self,
        inputs: str | Iterable[str],
        labels: str | Sequence[str],
        *,
        hypothesis_template: str = "This example is {}.",
        multi_label: bool = False,
        show_progress_bar: bool | None = None,
    ) -> Classification | list[Classification]:
        """How well labels of your own fit texts, by an NLI model.

        Args:
            labels: Candidates; at least one.
            hypothesis_template: ``{}`` stands for the label.
            multi_label: Score each label on its own.

        Raises:
            UnsupportedError: The model has no head with the label "entailment".
        """
        with bar(show_progress_bar, "zero_shot") as progress:
            found = self._model.zero_shot(
                texts=texts_of(inputs),
                labels=texts_of(labels, "labels"),
                hypothesis_template=hypothesis_template,
                multi_label=multi_label,
                progress=progress,
            )
        return found[0] if isinstance(inputs, str) else found

    @overload
    def tag(self, inputs: str, *, aggregation_strategy: Aggregation = "simple", stride: int | None = None,
            show_progress_bar: bool | None = None) -> list[Entity]: ...  # fmt: skip
    @overload
    def tag(self, inputs: Iterable[str], *, aggregation_strategy: Aggregation = "simple", stride: int | None = None,
            show_progress_bar: bool | None = None) -> list[list[Entity]]: ...  # fmt: skip
    def tag(
        self,
        inputs: str | Iterable[str],
        *,
        aggregation_strategy: Aggregation = "simple",
        stride: int | None = None,
        show_progress_bar: bool | None = None,
    ) -> list[Entity] | list[list[Entity]]:
        """Entities in texts (names, places, ...), by a token classifier.

        Args:
            aggregation_strategy: How tokens become entities, as in transformers' token-classification pipeline.
            stride: Read texts beyond the limit in windows that have this many tokens in common. None: truncate them.

        Returns:
            A list of :class:`Entity` for a str, else one a text.

        Raises:
            UnsupportedError: The model has no token classification head.
        """
        with bar(show_progress_bar, "tag") as progress:
            found = self._model.tag(texts=texts_of(inputs), aggregation=aggregation_strategy, stride=stride, progress=progress)
        return found[0] if isinstance(inputs, str) else found

    def rerank(
        self,
        query: str,
        documents: Iterable[str],
        *,
        top_k: int | None = None,
        raw: bool = False,
        instruction: str = "",
        show_progress_bar: bool | None = None,
    ) -> list[RankedDocument]:
        """Documents by how well they answer a query, the best first: ``CrossEncoder.rank()``.

        Args:
            top_k: Most documents of the result. None: all.
            raw: Logits instead of scores.
            instruction: What makes a document relevant, for a reranker that is a language model (Qwen3-Reranker).

        Raises:
            UnsupportedError: The model is no reranker.
        """
        with bar(show_progress_bar, "rerank") as progress:
            return self._model.rerank(
                query=query,
                documents=texts_of(documents, "documents"),
                top_k=at_least_1(top_k, "top_k"),
                raw=raw,
                instruction=instruction,
                progress=progress,
            )

    @overload
    def fill_mask(self, inputs: str, *, top_k: int = 5, targets: str | Sequence[str] = (),
                  show_progress_bar: bool | None = None) -> list[FilledMask]: ...  # fmt: skip
    @overload
    def fill_mask(self, inputs: Iterable[str], *, top_k: int = 5, targets: str | Sequence[str] = (),
                  show_progress_bar: bool | None = None) -> list[list[FilledMask]]: ...  # fmt: skip
    def fill_mask(
        self,
        inputs: str | Iterable[str],
        *,
        top_k: int = 5,
        targets: str | Sequence[str] = (),
        show_progress_bar: bool | None = None,
    ) -> list[FilledMask] | list[list[FilledMask]]:
        """Words for the masks of texts, by a masked language model.

        Args:
            inputs: Texts with the model's mask token (:attr:`info`, ``mask_token``).
            top_k: Most candidates for a mask.
            targets: Only these tokens are candidates. Empty: all.

        Returns:
            A list of :class:`FilledMask`, one a mask, for a str; else such a list a text.

        Raises:
            UnsupportedError: The model has no such head.
            FormatError: A text without a mask.
        """
        with bar(show_progress_bar, "fill_mask") as progress:
            found = self._model.fill_mask(texts=texts_of(inputs), top_k=top_k, targets=texts_of(targets, "targets"), progress=progress)
        return found[0] if isinstance(inputs, str) else found

    @overload
    def tokenize(self, inputs: str | Pair) -> Tokens: ...
    @overload
    def tokenize(self, inputs: Iterable[str | Pair]) -> list[Tokens]: ...
    def tokenize(self, inputs: str | Pair | Iterable[str | Pair]) -> Tokens | list[Tokens]:
        """Token ids of texts or pairs, special tokens included, truncated as the model reads them."""
        if is_one_input(inputs):
            return self._model.tokenize(one_input=[inputs])
        return [self._model.tokenize(one_input=[i]) for i in texts_of(inputs)]  # type: ignore[arg-type]

    # ---- what the model is

    @property
    def info(self) -> ModelInfo:
        """All that is known of the model."""
        return self._info

    @property
    def dimension(self) -> int:
        """Values of a vector of :meth:`encode`."""
        return self._truncate_dim or self._info.dimension

    @property
    def truncate_dim(self) -> int | None:
        """Values of a vector that :meth:`encode` keeps; None: all."""
        return self._truncate_dim

    def get_sentence_embedding_dimension(self) -> int:
        """:attr:`dimension`, under its name in sentence-transformers."""
        return self.dimension

    def get_embedding_dimension(self) -> int:
        """:attr:`dimension`, under its newer name in sentence-transformers."""
        return self.dimension

    @property
    def max_seq_length(self) -> int:
        """Most tokens of a text, special tokens included."""
        return self._info.max_tokens

    def get_max_seq_length(self) -> int:
        """:attr:`max_seq_length`, under its other name in sentence-transformers."""
        return self.max_seq_length

    @property
    def labels(self) -> list[str]:
        """Of the classifier or token classifier, by index; empty without one."""
        return self._info.labels or self._info.token_labels

    @property
    def prompts(self) -> Mapping[str, str]:
        """Name to the text that is put before a text. Cannot be changed; ``Encoder(prompts=...)`` takes others."""
        return MappingProxyType({**self._info.prompts, **self._own_prompts})

    @property
    def default_prompt_name(self) -> str | None:
        """Prompt of texts for which none is given."""
        return self._default_prompt_name or self._info.default_prompt or None

    @property
    def similarity_fn_name(self) -> str:
        """Of :meth:`similarity`: the model's, or ``"cosine"``."""
        return self._similarity_fn_name

    @property
    def model_card_data(self) -> "ModelCardData":
        """What evaluators of sentence-transformers report their figures to, besides returning them. It drops them."""
        return ModelCardData()

    @property
    def device(self) -> str:
        """``"cpu"``, or ``"mlx"``: the engine."""
        return self._info.engine


def _load(cls: type[Encoder], arguments: dict[str, Any]) -> Encoder:
    return cls(**arguments)


def _place(name: str, revision: str | None = None, folder: str = "") -> str:
    """Where any process finds what was loaded as ``name`` from ``folder``."""
    if os.path.exists(name):
        return os.path.abspath(name)
    parent, commit = os.path.split(folder)
    if os.path.basename(parent) == "snapshots":
        return f"{name.partition('@')[0]}@{commit}"
    return f"{name}@{revision}" if revision else name


class ModelCardData:
    """Takes the place of sentence-transformers' model card, which an :class:`Encoder` does not have."""

    def set_evaluation_metrics(self, evaluator: Any, metrics: dict[str, Any], epoch: int = 0, step: int = 0) -> None:
        """Has no effect: the evaluator returns the metrics, too."""


def _require_cpu(device: str | None) -> None:
    if device is not None and str(device) != "cpu":
        raise UnsupportedError(f"device: found {str(device)!r}, expected 'cpu'; engine=\"mlx\" of Encoder runs on MLX's devices")


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise TypeError("convert_to_tensor=True and convert_to_numpy=False need torch, which is not installed") from None
    return torch


def _similarity_of_folder(folder: str) -> str:
    try:
        with open(os.path.join(folder, "config_sentence_transformers.json"), encoding="utf-8") as file:
            return json.load(file).get("similarity_fn_name") or "cosine"
    except FileNotFoundError:
        return "cosine"
