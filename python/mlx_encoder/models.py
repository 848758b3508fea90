"""Functions of model folders: convert, inspect, verify, compare, evaluate."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from mlx_encoder import _core
from mlx_encoder._arguments import Pair, Path, at_least_1, paths_of, texts_of
from mlx_encoder._progress import bar
from mlx_encoder.errors import GateError, UsageError
from mlx_encoder.reports import Comparison, Conversion, Evaluation, Inspection, Verification, comparison_of, evaluation_of


def convert(
    model: Path,
    mlx_path: Path = "mlx_model",
    *,
    quantize: bool = False,
    q_bits: int | None = None,
    q_group_size: int | None = None,
    q_mode: Literal["affine", "mxfp4", "mxfp8", "nvfp4", "int8", "fake"] = "affine",
    dtype: str | None = None,
    quant_predicate: Literal["mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6", "mixed_4_8"] | None = None,
    keep: str | Sequence[str] = (),
    set: str | Sequence[str] = (),  # noqa: A002  (the program's name of the option)
    calibrate: Literal["default", "none"] | Iterable[str | Pair] | None = None,
    calibrate_only: bool = False,
    calibrate_limit: int = 0,
    method: Literal["auto", "rtn", "mse", "gptq"] = "auto",
    layout: Literal["hf", "mlx-embeddings"] = "hf",
    max_shard_size: str | int = "5GB",
    task: str | None = None,
    adapters: Path | Sequence[Path] = (),
    upload_repo: str | None = None,
    dequantize: bool = False,
    dry_run: bool = False,
    allow_unknown: bool = False,
    strict: bool = False,
    force: bool = False,
    threads: int = 0,
    show_progress_bar: bool | None = None,
) -> Conversion:
    """Converts a model to MLX's format: ``mlx-encoder convert``.

    ::

        convert("all-MiniLM-L6-v2", "minilm-8bit", quantize=True)

    The folder appears whole or not at all, also if the call is interrupted.

    Args:
        model: A folder, a weight file or a name on the hub.
        mlx_path: The folder to write.
        quantize: Without it the model is only cast to ``dtype``.
        q_bits: Bits of a code: affine 2, 3, 4, 5, 6 or 8. None: the mode's default, affine 8.
        q_group_size: Values that share a scale: affine 32, 64 or 128. None: the mode's default, affine 64.
        q_mode: ``"affine"``, ``"mxfp4"``, ``"mxfp8"``, ``"nvfp4"`` (MLX's), ``"int8"`` or ``"fake"``.
        dtype: ``"float16"``, ``"bfloat16"`` or ``"float32"``: of scales and of what stays float. None: float16; of
            ``dequantize``: that of config.json.
        quant_predicate: Two widths: the first for most matrices, the second for those that gain most.
        keep: Patterns of modules to store as float: ``"encoder.layer.11.*"``.
        set: ``"PATTERN=bits[:group]"`` for the modules that match.
        calibrate: Texts or pairs like those the model will see; ``"default"``: the built-in texts; ``"none"``:
            round-to-nearest, as MLX does. None: ``"default"`` below 8 bits, else ``"none"``.
        calibrate_only: Without the built-in texts, which are added to texts of yours else.
        calibrate_limit: Texts to use, spread over all; 0: about 24,000 tokens, more for wide models.
        method: Rounding with calibration.
        layout: ``"mlx-embeddings"``: what Python's mlx-embeddings loads.
        max_shard_size: Largest size of a weight file: ``"5GB"``, ``"500MiB"`` or bytes.
        task: Of a model with changes for several tasks (jina-embeddings-v3): the one to merge, ``"retrieval.query"``. Its prompt
            is then the default. Of a Router with an encoder in each route: the route to take alone, ``"query"``.
        adapters: LoRA adapters to merge first, in order.
        upload_repo: ``"org/name"``: upload the folder to this repository of the hub; HF_TOKEN is the token.
        dequantize: Write plain floats instead.
        dry_run: Plan exactly, write nothing.
        allow_unknown: Leave out tensors of layers that the architecture does not have.
        strict: Every warning is an error.
        force: Replace the output folder if it holds a model.
        threads: 0: all cores.
        show_progress_bar: Needs tqdm.

    Raises:
        UsageError: Options that do not go together; an output folder that holds something else; ...
        FormatError, UnsupportedError, NumericError, NotFoundError, IoError, StrictError
    """
    is_word = calibrate is None or isinstance(calibrate, str)
    if isinstance(calibrate, str) and calibrate not in ("default", "none"):
        raise UsageError(f"calibrate: found {calibrate!r}, expected texts, 'default' or 'none'")
    if calibrate_only and is_word:
        raise UsageError("calibrate_only needs texts of yours in calibrate")
    if dequantize and (quantize or dry_run):
        raise UsageError("dequantize can't be combined with quantize or dry_run")
    if quant_predicate and (q_bits or q_mode != "affine"):
        raise UsageError("quant_predicate sets the bits of each matrix; leave q_bits and q_mode out")
    options = {"q_bits": q_bits, "q_group_size": q_group_size, "q_mode": q_mode != "affine", "keep": keep, "set": set,
               "calibrate": calibrate is not None, "calibrate_limit": calibrate_limit, "method": method != "auto", "quant_predicate": quant_predicate}  # fmt: skip
    for name, given in options.items():
        if given and not quantize:
            raise UsageError(f"{name} needs quantize=True")
    with bar(show_progress_bar, "convert") as progress:
        return _core.convert(
            model=os.fspath(model),
            mlx_path=os.fspath(mlx_path),
            quantize=quantize,
            q_bits=at_least_1(q_bits, "q_bits"),
            q_group_size=at_least_1(q_group_size, "q_group_size"),
            q_mode=q_mode,
            dtype=dtype or "",
            quant_predicate=quant_predicate or "",
            keep=texts_of(keep, "keep"),
            set=texts_of(set, "set"),
            calibrate=(calibrate or "") if is_word else "texts",  # type: ignore[arg-type]
            calibration_texts=[] if is_word else texts_of(calibrate, "calibrate"),  # type: ignore[arg-type]
            calibrate_only=calibrate_only,
            calibrate_limit=calibrate_limit,
            method=method,
            layout=layout,
            max_shard_size=str(max_shard_size),
            task=task or "",
            adapters=paths_of(adapters),
            upload_repo=upload_repo or "",
            dequantize=dequantize,
            dry_run=dry_run,
            allow_unknown=allow_unknown,
            strict=strict,
            force=force,
            threads=threads,
            progress=progress,
        )


def inspect(model: Path, *, threads: int = 0, show_progress_bar: bool | None = None) -> Inspection:
    """What a folder stores, which programs load it, and whether its quantization is real: ``mlx-encoder inspect``.

    Raises:
        NotFoundError, IoError, FormatError: No such folder; no model folder.
    """
    with bar(show_progress_bar, "inspect") as progress:
        return _core.inspect(model=os.fspath(model), threads=threads, progress=progress)


def verify(
    model: Path,
    *,
    against: Path | None = None,
    save_golden: Path | None = None,
    engine: Literal["cpu", "mlx", "auto"] = "cpu",
    threads: int = 0,
    show_progress_bar: bool | None = None,
) -> Verification:
    """Whether a folder still computes what it computed when it was made: ``mlx-encoder verify``.

    A folder that fails raises nothing: see :attr:`Verification.verdict` and ``failures``.

    Args:
        against: A golden file instead of the folder's own.
        save_golden: A file to write what the folder gives.
    """
    with bar(show_progress_bar, "verify") as progress:
        return _core.verify(
            model=os.fspath(model),
            against=os.fspath(against) if against is not None else "",
            save_golden=os.fspath(save_golden) if save_golden is not None else "",
            engine=engine,
            threads=threads,
            progress=progress,
        )


def compare(
    original: Path,
    quantized: Path,
    texts: Iterable[str | Pair],
    *,
    labels: Sequence[str] = (),
    scores: Sequence[float] = (),
    gate: bool = False,
    gate_cosine: float | None = None,
    gate_mse: float = 1e-4,
    gate_max_abs: float = 0.1,
    gate_limit: str | Sequence[str] = (),
    engine: Literal["cpu", "mlx", "auto"] = "cpu",
    activations: Literal["auto", "int8", "bf16", "f32"] = "auto",
    threads: int = 0,
    max_length: int | None = None,
    allow_unknown: bool = False,
    show_progress_bar: bool | None = None,
) -> Comparison:
    """What a conversion cost: ``mlx-encoder compare --no-speed``.

    Args:
        texts: Texts or pairs, at least one.
        labels: Gold labels, one a text, or none.
        scores: Gold similarities or values, one a text, or none.
        gate: Raise if a gate fails.
        gate_cosine: Limit of the mean cosine. None: by the bits stored (docs/gates.md).
        gate_mse: Limit of the mean squared error.
        gate_max_abs: Limit of the largest difference.
        gate_limit: ``"TENSOR.METRIC=LIMIT"`` or ``"TENSOR.METRIC=off"``.
        activations: Of another run of the quantized model, reported apart.
        max_length: Most tokens of a text. None: the model's limit.

    Raises:
        GateError: With ``gate``.
        UnsupportedError: Folders of different models.
        FormatError: Their tokenizers disagree.
    """
    with bar(show_progress_bar, "compare") as progress:
        *reports, failures = _core.compare(
            original=os.fspath(original),
            quantized=os.fspath(quantized),
            texts=texts_of(texts, "texts"),  # type: ignore[arg-type]
            labels=list(labels),
            scores=[float(s) for s in scores],
            gate_cosine=gate_cosine,
            gate_mse=gate_mse,
            gate_max_abs=gate_max_abs,
            gate_limit=texts_of(gate_limit, "gate_limit"),
            engine=engine,
            activations=activations,
            threads=threads,
            max_length=at_least_1(max_length, "max_length"),
            allow_unknown=allow_unknown,
            progress=progress,
        )
    if gate and failures:
        raise GateError("; ".join(failures))
    return comparison_of(*reports)


def evaluate(
    model: Path,
    data: Path,
    *,
    task: Literal["similarity", "classification", "nli", "ner", "rerank", "retrieval"],
    original: Path | None = None,
    input_format: Literal["tsv", "jsonl", "conll"] | None = None,
    columns: Mapping[str, str] | None = None,
    qrels: Path | None = None,
    limit: int | None = None,
    tagging: Literal["lenient", "IOB1", "IOB2", "BIOES", "BILOU"] = "lenient",
    query_prompt: str = "",
    document_prompt: str = "",
    resamples: int = 10000,
    confidence: float = 0.95,
    seed: int = 1,
    engine: Literal["cpu", "mlx", "auto"] = "cpu",
    activations: Literal["auto", "int8", "bf16", "f32"] = "f32",
    threads: int = 0,
    max_length: int | None = None,
    allow_unknown: bool = False,
    show_progress_bar: bool | None = None,
) -> Evaluation:
    """How well a model does a task; with an original also the change by a conversion: ``mlx-encoder evaluate``.

    Args:
        data: Items with gold answers: a .tsv, .jsonl or .parquet file (ner: CoNLL lines, too); retrieval: a folder as BEIR lays it out.
        input_format: None: by the file's ending.
        columns: Role (``"text"``, ``"pair"``, ``"label"``, ...; docs/evaluate.md) to the column's name.
        qrels: Judgements of retrieval. None: qrels/test.tsv or qrels.tsv of the folder.
        limit: Items to use. None: all.
        tagging: How tags form spans in ner.
        query_prompt: Name of a prompt. Empty: the model's "query", or its default.
        document_prompt: Name of a prompt. Empty: the model's "document" or "passage", or its default.
        resamples: Of the bootstrap, as ``confidence`` and ``seed``.

    Raises:
        UnsupportedError: A model that cannot do the task; folders of different models.
        FormatError: A malformed row; a gold label that the model does not have.
    """
    with bar(show_progress_bar, "evaluate") as progress:
        report = _core.evaluate(
            model=os.fspath(model),
            data=os.fspath(data),
            task=task,
            original=os.fspath(original) if original is not None else "",
            input_format=input_format or "",
            columns=dict(columns or {}),
            qrels=os.fspath(qrels) if qrels is not None else "",
            limit=at_least_1(limit, "limit"),
            tagging=tagging,
            query_prompt=query_prompt,
            document_prompt=document_prompt,
            resamples=resamples,
            confidence=confidence,
            seed=seed,
            engine=engine,
            activations=activations,
            threads=threads,
            max_length=at_least_1(max_length, "max_length"),
            allow_unknown=allow_unknown,
            progress=progress,
        )
    return evaluation_of(report)
