"""What the adapters take for a model."""

import os
from collections.abc import Mapping
from typing import Any

from mlx_encoder._arguments import Path
from mlx_encoder.encoder import Encoder
from mlx_encoder.errors import UsageError


def encoder_of(model: Encoder | Path, options: Mapping[str, Any] | None) -> Encoder:
    """The encoder itself, or the one that is loaded from a folder, file or name with these arguments of :class:`Encoder`.

    Raises:
        UsageError: Arguments for an encoder that is loaded already.
    """
    if not isinstance(model, Encoder):
        return Encoder(model, **dict(options or {}))
    if options:
        raise UsageError(f"model: found an Encoder and arguments to load one ({', '.join(options)}); give them to Encoder()")
    return model


def name_of(model: Encoder | Path) -> str:
    """The folder of an encoder, or the path or name itself."""
    return model.info.folder if isinstance(model, Encoder) else os.fspath(model)
