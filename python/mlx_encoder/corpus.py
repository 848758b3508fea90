"""Vectors of a folder of files of texts."""

import os
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlx_encoder._arguments import Path, at_least_1
from mlx_encoder._progress import bar
from mlx_encoder.encoder import Encoder
from mlx_encoder.errors import UsageError
from mlx_encoder.reports import EmbeddedCorpus
from mlx_encoder.vectors import Precision


def embed_corpus(
    encoder: Encoder,
    input: Path,  # noqa: A002  (the program's name of the option)
    output: Path,
    *,
    task: Literal["query", "document"] | None = None,
    prompt_name: str | None = None,
    prompt: str | None = None,
    normalize_embeddings: bool = False,
    truncate_dim: int | None = None,
    precision: Precision = "float32",
    ranges: Any = None,
    chunk_size: int | None = None,
    chunk_overlap: int = 0,
    late_chunking: bool = False,
    output_format: str | None = None,
    text_column: str | None = None,
    show_progress_bar: bool | None = None,
) -> EmbeddedCorpus:
    """Vectors of all files of texts below a folder, a file of vectors each: ``mlx-encoder embed -i FOLDER -o FOLDER``.

    ::

        embed_corpus(encoder, "corpus", "vectors")  # corpus/a/1.jsonl -> vectors/a/1.jsonl.npy

    The same call goes on after a run that was ended, by Ctrl-C or SIGKILL, too: files that are done are not read again. The
    page docs/corpora.md has the formats, and what is done again.

    Args:
        input: A folder. Files and folders whose names begin with "." or "_" are left out.
        output: A new folder, or that of an earlier run with this model and these settings.
        task: As :meth:`Encoder.encode_query` and :meth:`Encoder.encode_document`. None: as :meth:`Encoder.encode`.
        prompt_name: As for :meth:`Encoder.encode`, like ``prompt``, ``normalize_embeddings`` and ``truncate_dim``.
        precision: As for :func:`quantize_embeddings`.
        ranges: ``[2, dimension]``: the lowest and highest value of each column, for int8 and uint8, which need them.
        chunk_size: Cut texts into chunks of at most this many tokens, and write a vector a chunk.
        chunk_overlap: Most tokens that a chunk shares with the next.
        late_chunking: The model reads the whole text; a chunk's vector is the mean of its tokens'.
        output_format: Of the files of vectors: ``"npy"``, ``"jsonl"`` or ``"safetensors"``. None: npy; of chunks safetensors.
        text_column: Of the texts in .tsv and .jsonl files. None: one of the usual names ("text", "sentence", ...).
        show_progress_bar: In bytes of the files. Needs tqdm.

    Raises:
        UsageError: No file of texts; ``output`` holds other files, vectors of another model or other settings, or is written
            by another process; ...
        NotFoundError, IoError
        FormatError: A malformed file. Files that were finished before stay.
        KeyboardInterrupt: At once. The batch in progress ends on a thread of its own; a following call waits for it.

    Warns:
        EncoderWarning: Texts were truncated; files of other formats are left out; ...
    """
    if chunk_size is None and (chunk_overlap or late_chunking):
        raise UsageError("chunk_overlap and late_chunking need chunk_size")
    if not isinstance(encoder, Encoder):
        raise TypeError(f"encoder: found {type(encoder).__name__}, expected an Encoder")
    if task not in (None, "query", "document"):
        raise UsageError(f"task: found {task!r}, expected 'query', 'document' or None")
    name, literal, route = encoder._prompt(task or "", prompt_name, prompt)
    with bar(show_progress_bar, "embed_corpus") as progress:
        return encoder._model.embed_corpus(
            input=os.fspath(input),
            output=os.fspath(output),
            prompt_name=name,
            prompt=literal,
            task=route,
            dimension=at_least_1(encoder._truncate_dim if truncate_dim is None else truncate_dim, "truncate_dim"),
            normalize=normalize_embeddings,
            precision=precision,
            ranges=_checked(ranges, precision),
            in_float64=ranges is not None and np.asarray(ranges).dtype == np.float64,
            chunk_tokens=at_least_1(chunk_size, "chunk_size"),
            chunk_overlap=chunk_overlap,
            late_chunking=late_chunking,
            format=output_format or "",
            text_column=text_column or "",
            progress=progress,
        )


def _checked(ranges: Any, precision: Precision) -> NDArray[np.float64] | None:
    needed = precision in ("int8", "uint8")
    if needed != (ranges is not None):
        raise UsageError(
            f"precision={precision!r}: needs ranges that are the same for all files; give the lowest and highest values of some vectors"
            if needed
            else f"ranges: {precision} has none, int8 and uint8 have; leave one out"
        )
    if ranges is None:
        return None
    values = np.ascontiguousarray(ranges, dtype=np.float64)
    if values.ndim != 2 or len(values) != 2 or not (np.isfinite(values).all() and (values[0] <= values[1]).all()):
        raise UsageError(f"ranges: found shape {values.shape}, expected [2, dimension]: finite numbers, the lower ones first")
    return values
