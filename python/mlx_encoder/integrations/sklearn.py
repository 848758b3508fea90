"""A transformer for scikit-learn: texts to vectors."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin

from mlx_encoder._arguments import Path, is_table
from mlx_encoder.encoder import Encoder
from mlx_encoder.integrations._model import refuse_token


class EncoderTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Texts to vectors, as a step of a pipeline.

    It learns nothing. The model is loaded at the first call and is no part of a pickle: one that is loaded elsewhere finds
    the model there, by its name or path.

    Args:
        model: A folder, a weight file or a name on the Hugging Face hub.
        prompt_name: A prompt of the model to put before each text.
        normalize_embeddings: Scale each vector to length 1.
        truncate_dim: The first values of each vector.
        model_kwargs: Arguments of :class:`mlx_encoder.Encoder`.
    """

    def __init__(
        self,
        model: Path = "sentence-transformers/all-MiniLM-L6-v2",
        *,
        prompt_name: str | None = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.prompt_name = prompt_name
        self.normalize_embeddings = normalize_embeddings
        self.truncate_dim = truncate_dim
        self.model_kwargs = model_kwargs

    def fit(self, X: Iterable[str], y: Any = None) -> "EncoderTransformer":
        """Checks that the model loads."""
        del y
        if iter(X) is X:
            raise ValueError("X: found a generator, which can be read only once; give a list")
        _texts(X)
        self._encoder()
        return self

    def transform(self, X: Iterable[str]) -> NDArray[np.float32]:
        """Vectors of texts.

        Args:
            X: Several str: a list, an array or a column of a table.

        Returns:
            float32 ``[texts, dimension]``.

        Raises:
            ValueError: One str, or something else than texts.
        """
        vectors: NDArray[np.float32] = self._encoder().encode(
            _texts(X), prompt_name=self.prompt_name, normalize_embeddings=self.normalize_embeddings, truncate_dim=self.truncate_dim
        )
        return vectors

    @property
    def _n_features_out(self) -> int:
        """For ``get_feature_names_out``."""
        return self.truncate_dim or self._encoder().dimension

    def _encoder(self) -> Encoder:
        source = (self.model, dict(self.model_kwargs or {}))
        loaded: tuple[Any, Encoder] | None = getattr(self, "_loaded", None)
        if loaded is None or loaded[0] != source:
            loaded = (source, Encoder(self.model, **source[1]))
            self._loaded = loaded
        return loaded[1]

    def __getstate__(self) -> dict[str, Any]:
        """Without the loaded model. A token is refused, because the pickle would hold it."""
        refuse_token(self.model_kwargs)
        return {name: value for name, value in super().__getstate__().items() if name != "_loaded"}

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn's checks need to know."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.requires_fit = False
        return tags


def _texts(X: Any) -> list[str]:
    if isinstance(X, str):
        raise ValueError("X: found a str, expected several: a list, an array or a column of a table")
    if is_table(X):
        raise ValueError(f"X: found {type(X).__name__}, expected str; of a table, pass one column")
    texts = list(X)
    wrong = next((t for t in texts if not isinstance(t, str)), None)
    if wrong is not None:
        raise ValueError(f"X: found {type(wrong).__name__}, expected str; of a table, pass one column")
    return texts
