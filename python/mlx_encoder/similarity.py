"""Similarities of vectors, as sentence-transformers names them."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlx_encoder.errors import UnsupportedError

Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]
Floats = NDArray[np.float32]


def _dot(a: Floats, b: Floats) -> Floats:
    similarities: Floats = a @ b.T
    return similarities


def _cosine(a: Floats, b: Floats) -> Floats:
    def unit(rows: Floats) -> Floats:
        lengths: Floats = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        return rows / lengths

    return unit(a) @ unit(b).T


def _euclidean(a: Floats, b: Floats) -> Floats:
    return np.stack([-np.linalg.norm(b - row, axis=1) for row in a]) if len(a) else np.empty((0, len(b)), np.float32)


def _manhattan(a: Floats, b: Floats) -> Floats:
    return np.stack([-np.abs(b - row).sum(axis=1) for row in a]) if len(a) else np.empty((0, len(b)), np.float32)


_FUNCTIONS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "cosine": _cosine,
    "dot": _dot,
    "euclidean": _euclidean,
    "manhattan": _manhattan,
}


def similarity_of(name: str) -> Callable[[Any, Any], Floats]:
    """The function of a name: vectors ``[n, d]`` and ``[m, d]`` to float32 ``[n, m]``; a vector ``[d]`` counts as one row.

    Raises:
        UnsupportedError: Another name.
    """
    if name not in _FUNCTIONS:
        raise UnsupportedError(f"similarity_fn_name: found {name!r}, expected one of {', '.join(_FUNCTIONS)}")

    def rows(vectors: Any) -> Floats:
        return np.atleast_2d(np.asarray(vectors, dtype=np.float32))

    return lambda a, b: _FUNCTIONS[name](rows(a), rows(b))
