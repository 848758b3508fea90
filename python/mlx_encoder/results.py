"""What calls of an Encoder return: immutable objects with typed fields."""

import dataclasses
from dataclasses import dataclass
from typing import Any

_SHOWN = 3  # items of a list in a repr


def _short(value: Any) -> str:
    if isinstance(value, list) and len(value) > _SHOWN:
        return f"[{', '.join(map(repr, value[:_SHOWN]))}, ... {len(value)} in all]"
    return repr(value)


class Result:
    """Base of all results."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, in their order; results inside become dictionaries, too."""
        values: dict[str, Any] = dataclasses.asdict(self)  # type: ignore[call-overload]
        return values

    def __repr__(self) -> str:
        """The fields by name; of a long list its beginning and its length."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(f'{f.name}={_short(getattr(self, f.name))}' for f in fields)})"


@dataclass(frozen=True, repr=False)
class ModelInfo(Result):
    """What a loaded model is."""

    folder: str
    """The folder that was read."""
    model_type: str
    """The architecture, such as ``"bert"``."""
    layers: int
    hidden_size: int
    vocab_size: int
    max_tokens: int
    """Most tokens of a text, special tokens included; longer texts are truncated, with a warning."""
    dimension: int
    """Values of a vector of :meth:`Encoder.encode` without ``truncate_dim``."""
    late_interaction: bool
    """Whether tokens have vectors (ColBERT, bge-m3)."""
    problem_type: str
    """Of the classifier: ``"single_label_classification"``, ...; empty without one."""
    score_function: str
    """From logits to scores: ``"softmax"``, ``"sigmoid"``, ``"identity"``, ``"tanh"`` or ``"relu"``."""
    labels: list[str]
    """Of the classifier, by index; empty without one."""
    token_labels: list[str]
    """Of the token classifier, by index; empty without one."""
    mask_token: str
    """As texts write it for :meth:`Encoder.fill_mask`; empty without the head."""
    prompts: dict[str, str]
    """Name to the text that is put before a text."""
    default_prompt: str
    """Name of the prompt that is used if none is named; empty without one."""
    routes: list[str]
    """Of a Router of sentence-transformers: ``"query"``, ``"document"``."""
    engine: str
    """``"cpu"`` or ``"mlx"``."""
    engine_variant: str
    """Instruction set and threads, or MLX's device."""
    activations: str
    """Type of activations in matrix products: ``"f32"``, ``"int8"`` or ``"bf16"``."""


@dataclass(frozen=True, repr=False)
class Tokens(Result):
    """The tokens of a text or pair. All lists have one item a token."""

    ids: list[int]
    type_ids: list[int]
    """0 for the first text, 1 for the second."""
    tokens: list[str]
    """As in the vocabulary."""
    offsets: list[tuple[int, int]]
    """Beginning and end of each token in its text, in code points (indices of a str)."""
    sequence: list[int]
    """0: of the text; 1: of the pair's second text; -1: a special token."""
    dropped: int
    """Tokens that truncation removed."""
    dropped_more: bool
    """Whether more were removed: the end of a text far beyond the limit is not tokenized."""


@dataclass(frozen=True, repr=False)
class Classification(Result):
    """Scores of labels."""

    label: str
    """The label with the highest score."""
    score: float
    scores: dict[str, float]
    """Of all labels, in the model's (or caller's) order."""
    logits: list[float]
    """In the same order; empty for :meth:`Encoder.zero_shot`."""


@dataclass(frozen=True, repr=False)
class Entity(Result):
    """A part of a text with a label."""

    label: str
    score: float
    start: int
    """``text == given[start:end]``."""
    end: int
    text: str


@dataclass(frozen=True, repr=False)
class RankedDocument(Result):
    """A document and how well it answers a query."""

    index: int
    """Into the documents of the call."""
    score: float
    text: str


@dataclass(frozen=True, repr=False)
class MaskFill(Result):
    """A candidate for a mask."""

    token: str
    score: float
    """Probability over the vocabulary."""
    id: int
    sequence: str
    """The text with the token in the mask's place."""


@dataclass(frozen=True, repr=False)
class FilledMask(Result):
    """A mask of a text."""

    position: int
    """Among the tokens of the text, special ones included."""
    fills: list[MaskFill]
    """The best first."""
