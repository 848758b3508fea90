"""Vectors of fewer bits."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlx_encoder import _core
from mlx_encoder.errors import UsageError

Precision = Literal["float32", "float16", "int8", "uint8", "binary", "ubinary"]


def quantize_embeddings(
    embeddings: Any,
    precision: Precision,
    ranges: NDArray[Any] | None = None,
    calibration_embeddings: Any = None,
) -> NDArray[Any]:
    """Vectors in fewer bits: the bytes of ``sentence_transformers.quantize_embeddings``.

    Args:
        embeddings: float32 ``[n, dimension]``.
        precision: ``"float32"``; ``"float16"``; ``"int8"`` and ``"uint8"``: codes of each column's range;
            ``"binary"`` (int8) and ``"ubinary"`` (uint8): a bit a value, set if it is above 0, 8 to a byte.
        ranges: ``[2, dimension]``: the lowest and highest value of each column, for int8 and uint8. Without, they are those
            of ``calibration_embeddings``, or else of ``embeddings``.
        calibration_embeddings: float32 ``[m, dimension]``.

    Returns:
        ``[n, dimension]``; of binary and ubinary ``[n, ceil(dimension / 8)]``.

    Raises:
        UsageError: An unknown precision; ranges of another dimension.
        NumericError: A value that float16 cannot hold.

    Warns:
        EncoderWarning: The ranges come from fewer than 100 vectors.
    """

    def floats(values: Any) -> NDArray[np.float32]:
        rows = np.ascontiguousarray(values, dtype=np.float32)
        if rows.ndim != 2:
            raise UsageError(f"embeddings: found shape {rows.shape}, expected [n, dimension]")
        return rows

    if precision in ("int8", "uint8") and ranges is None and calibration_embeddings is None and not len(embeddings):
        return np.empty(np.shape(embeddings), np.dtype(precision))  # no vectors have no ranges
    return _core.quantize_vectors(
        embeddings=floats(embeddings),
        precision=precision,
        ranges=None if ranges is None else np.ascontiguousarray(ranges, dtype=np.float64),
        in_float64=ranges is not None and np.asarray(ranges).dtype == np.float64,
        calibration=None if calibration_embeddings is None else floats(calibration_embeddings),
    )
