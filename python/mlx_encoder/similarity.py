"""Similarities of vectors, as sentence-transformers names them."""

import sys
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlx_encoder.errors import UnsupportedError, UsageError

Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]
Floats = NDArray[np.float32]


def _unit(rows: Floats) -> Floats:
    lengths: Floats = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return rows / lengths


def _dots(a: Floats, b: Floats) -> Floats:
    dots: Floats = np.einsum("nd,nd->n", a, b)
    return dots


def _euclidean(a: Floats, b: Floats) -> Floats:
    return np.stack([-np.linalg.norm(b - row, axis=1) for row in a]) if len(a) else np.empty((0, len(b)), np.float32)


def _manhattan(a: Floats, b: Floats) -> Floats:
    return np.stack([-np.abs(b - row).sum(axis=1) for row in a]) if len(a) else np.empty((0, len(b)), np.float32)


_Function = Callable[[Floats, Floats], Floats]

_OF_ALL_PAIRS: dict[str, _Function] = {
    "cosine": lambda a, b: _unit(a) @ _unit(b).T,
    "dot": lambda a, b: a @ b.T,
    "euclidean": _euclidean,
    "manhattan": _manhattan,
}

_OF_ROWS: dict[str, _Function] = {
    "cosine": lambda a, b: _dots(_unit(a), _unit(b)),
    "dot": _dots,
    "euclidean": lambda a, b: np.asarray(-np.linalg.norm(a - b, axis=1)),
    "manhattan": lambda a, b: np.asarray(-np.abs(a - b).sum(axis=1)),
}


def _rows(vectors: Any) -> Floats:
    """Vectors ``[n, d]``; of none ``[0, 0]``."""
    torch = sys.modules.get("torch")
    if torch and isinstance(vectors, torch.Tensor):
        vectors = vectors.detach().cpu()
        vectors = vectors.float().numpy() if vectors.is_floating_point() else vectors.numpy()
    if getattr(vectors, "dtype", None) in (np.int8, np.uint8):
        raise UsageError(f"similarity: found codes ({vectors.dtype}), expected floats; codes are compared by a vector store (Hamming distance of bits)")
    rows = np.asarray(vectors, dtype=np.float32)
    if rows.ndim > 2 or rows.ndim == 0:
        raise UsageError(f"similarity: found shape {rows.shape}, expected [n, dimension] or [dimension]")
    return rows if rows.ndim == 2 else rows[np.newaxis] if rows.size else rows.reshape(0, 0)


def similarity_of(name: str, pairwise: bool = False) -> Callable[[Any, Any], Any]:
    """The function of a name: vectors ``[n, d]`` and ``[m, d]`` to float32 ``[n, m]``; a vector ``[d]`` counts as one row.

    The function returns NumPy; a torch tensor if one of its arguments is one.

    Args:
        pairwise: Vectors ``[n, d]`` and ``[n, d]`` to ``[n]``.

    Raises:
        UnsupportedError: Another name.
    """
    functions = _OF_ROWS if pairwise else _OF_ALL_PAIRS
    if name not in functions:
        raise UnsupportedError(f"similarity_fn_name: found {name!r}, expected one of {', '.join(functions)}")

    def similarity(a: Any, b: Any) -> Any:
        x, y = _rows(a), _rows(b)
        if x.shape[1] != y.shape[1] and x.size and y.size:
            raise UsageError(f"similarity: found vectors of {x.shape[1]} and {y.shape[1]} values, expected as many")
        if pairwise and x.shape != y.shape:
            raise UsageError(f"similarity_pairwise: found vectors of shapes {x.shape} and {y.shape}, expected the same shape")
        found = functions[name](x, y)
        torch = sys.modules.get("torch")
        return torch.from_numpy(found) if torch and any(isinstance(v, torch.Tensor) for v in (a, b)) else found

    return similarity
