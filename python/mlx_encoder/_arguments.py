"""What arguments of calls may be, and what the library takes for them."""

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from mlx_encoder.errors import UsageError

Pair = tuple[str, str]
Path = str | os.PathLike[str]


def texts_of(inputs: str | Iterable[str], what: str = "inputs") -> list[str]:
    """One str or several as a list. Raises TypeError, which calls them ``what``."""
    if isinstance(inputs, (bytes, dict)) or not isinstance(inputs, Iterable) or is_table(inputs):
        raise TypeError(f"{what}: found {type(inputs).__name__}, expected a str or several str{'; pass one column' * is_table(inputs)}")
    return [inputs] if isinstance(inputs, str) else list(inputs)


def is_table(inputs: Any) -> bool:
    """Whether iterating gives the names of columns (pandas, polars, pyarrow), or rows."""
    return hasattr(inputs, "columns") or getattr(inputs, "ndim", 1) > 1


def paths_of(paths: Path | Iterable[Path]) -> list[str]:
    """One path or several as a list."""
    return [os.fspath(p) for p in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]


def is_one_input(inputs: Any) -> bool:
    """Whether inputs of texts and pairs are one text or, as a tuple, one pair."""
    return isinstance(inputs, str) or (isinstance(inputs, tuple) and len(inputs) == 2 and all(isinstance(t, str) for t in inputs))


def at_least_1(value: int | None, name: str) -> int:
    """The value; 0, which the library takes for no limit, of None."""
    if value is None:
        return 0
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise TypeError(f"{name}: found {type(value).__name__}, expected an int")
    if value < 1:
        raise UsageError(f"{name}: found {value}, expected at least 1")
    return int(value)
