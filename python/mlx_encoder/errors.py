"""Errors and warnings. An error's text reads ``where: found, expected; what to do``."""

import os
import sys
import warnings


class Error(Exception):
    """Base of all errors of the library."""

    code = "internal"
    """The word that ``mlx-encoder --json`` prints for it, such as ``"not_found"``."""


class InternalError(Error):
    """A bug in the library."""

    code = "internal"


class UsageError(Error, ValueError):
    """An argument that makes no sense."""

    code = "usage"


class GateError(Error):
    """A quality gate failed."""

    code = "gate"


class NotFoundError(Error, FileNotFoundError):
    """A file, folder or model that should exist does not."""

    code = "not_found"


class IoError(Error, OSError):
    """Reading, writing or a download failed."""

    code = "io"


class FormatError(Error, ValueError):
    """The content of a file or text is malformed, or contradicts another file."""

    code = "format"


class UnsupportedError(Error, NotImplementedError):
    """Well-formed, but an architecture, option or value that this version cannot honour."""

    code = "unsupported"


class NumericError(Error, ArithmeticError):
    """NaN or infinity where a number was expected."""

    code = "numeric"


class StrictError(Error):
    """A warning that ``strict=True`` made an error."""

    code = "strict"


BY_CODE = {
    c.code: c
    for c in (
        InternalError,
        UsageError,
        GateError,
        NotFoundError,
        IoError,
        FormatError,
        UnsupportedError,
        NumericError,
        StrictError,
    )
}
"""The class of each code."""


class EncoderWarning(UserWarning):
    """A text was truncated, a setting was ignored or assumed, or a fallback was taken."""


_PACKAGE = os.path.dirname(__file__) + os.sep


def warn(sentence: str) -> None:
    """Warns at the line outside this package that called it."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(sentence, EncoderWarning, stacklevel=level)
