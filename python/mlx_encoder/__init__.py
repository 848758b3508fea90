"""Text encoders in Apple's MLX format: run them, convert them, prove the conversion.

::

    from mlx_encoder import Encoder, convert

    convert("sentence-transformers/all-MiniLM-L6-v2", "minilm-8bit", quantize=True)
    encoder = Encoder("minilm-8bit")
    vectors = encoder.encode(["The sky is blue.", "What colour is the sky?"])  # float32 [2, 384]
    print(encoder.similarity(vectors[0], vectors[1]))

:class:`Encoder` takes the arguments of sentence-transformers' ``SentenceTransformer``.
"""

from mlx_encoder import _core
from mlx_encoder.corpus import embed_corpus
from mlx_encoder.encoder import Encoder
from mlx_encoder.errors import (
    EncoderWarning,
    Error,
    FormatError,
    GateError,
    InternalError,
    IoError,
    NotFoundError,
    NumericError,
    StrictError,
    UnsupportedError,
    UsageError,
)
from mlx_encoder.models import compare, convert, evaluate, inspect, verify
from mlx_encoder.vectors import quantize_embeddings

__version__: str = _core.version

__all__ = [
    "Encoder",
    "EncoderWarning",
    "Error",
    "FormatError",
    "GateError",
    "InternalError",
    "IoError",
    "NotFoundError",
    "NumericError",
    "StrictError",
    "UnsupportedError",
    "UsageError",
    "compare",
    "convert",
    "embed_corpus",
    "evaluate",
    "inspect",
    "quantize_embeddings",
    "verify",
]
