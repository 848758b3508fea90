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
    return str(model._arguments["model_name_or_path"]) if isinstance(model, Encoder) else os.fspath(model)


def refuse_token(options: Mapping[str, Any] | None) -> None:
    """Of what is written to a file.

    Raises:
        TypeError: The options have a token.
    """
    if (options or {}).get("token") not in (None, True, False):
        raise TypeError("model_kwargs: has a token, which what is written would hold; leave it out, and set HF_TOKEN where it is loaded")


def encode_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy.

    Raises:
        UsageError: A precision with ranges, which would be others for each call.
    """
    copy = dict(options or {})
    if copy.get("precision") in ("int8", "uint8"):
        raise UsageError(f"encode_kwargs: precision {copy['precision']!r} takes its ranges from the texts of a call; quantize in the vector store")
    return copy
