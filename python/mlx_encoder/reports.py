"""What embed_corpus, convert, inspect, verify, compare and evaluate return: immutable objects with typed fields."""

import json
from dataclasses import dataclass
from typing import Any

from mlx_encoder.results import Result

# ---- convert


@dataclass(frozen=True, repr=False)
class PlannedTensor(Result):
    """A tensor of a conversion; its scales and biases are counted with it."""

    name: str
    """As written."""
    source: str
    """As in the source; empty for a tensor synthesized for a loader."""
    shape: tuple[int, ...]
    """Logical, whatever the packing: ``(out, in)``."""
    role: str
    """``"linear"``, ``"embedding"``, ``"norm"``, ..."""
    scheme: str
    """For people: ``"affine 8-bit g64 float16"``."""
    mode: str
    bits: int
    """Of a code, or of a float."""
    group_size: int
    bytes: int
    reason: str
    """Why it is not stored in the scheme asked for; empty if it is."""


@dataclass(frozen=True, repr=False)
class TensorCalibration(Result):
    """What calibration did to a matrix. Errors are relative."""

    name: str
    method: str
    """``"gptq"``, ``"mse"`` or ``"rtn"``."""
    rtn_error: float
    """With round-to-nearest."""
    error: float
    """As written."""


@dataclass(frozen=True, repr=False)
class Upload(Result):
    """A folder that was uploaded to the hub."""

    url: str
    """Of the repository."""
    commit: str
    bytes: int
    """Of large files that were sent; those that the hub had already are not."""


@dataclass(frozen=True, repr=False)
class Conversion(Result):
    """A finished conversion, or with ``dry_run`` its plan."""

    output: str
    """The folder."""
    bytes: int | None
    """Of the weight files on disk; None with ``dry_run``."""
    predicted_bytes: int
    """The same, from headers alone; always equal."""
    folder_bytes: int
    source_bytes: int
    parameters: int
    bits_per_weight: float
    """8 x bytes of all tensors / parameters."""
    dry_run: bool
    skipped: bool
    """Whether the folder held this very conversion already."""
    files: dict[str, int]
    """Weight files and their bytes."""
    tensors: list[PlannedTensor]
    dropped: dict[str, str]
    """Tensors of the source that are not written, and why."""
    calibration: list[TensorCalibration]
    warnings: list[str]
    notes: list[str]
    """Facts that need no attention."""
    uploaded: Upload | None


# ---- embed_corpus


@dataclass(frozen=True, repr=False)
class EmbeddedCorpus(Result):
    """The vectors of a folder of files of texts."""

    output: str
    """The folder of the vectors."""
    files: int
    """All files of texts."""
    files_before: int
    """Of these, the ones that earlier runs had done."""
    texts: int
    """Of all files."""
    truncated: int
    """Texts that this run truncated."""
    rows: int
    """Vectors in all files: one a text, or a chunk."""
    columns: int
    """Values of a row as it is stored."""
    precision: str


# ---- inspect


@dataclass(frozen=True, repr=False)
class InspectedTensor(Result):
    """A tensor of a folder."""

    name: str
    shape: tuple[int, ...]
    """Logical."""
    mode: str
    """``"float"``, ``"affine"``, ..., ``"fake"``: floats on a grid of few values."""
    bits: int
    group_size: int
    dtype: str
    """Of codes or values, as in the file: ``"U32"``, ``"F16"``."""
    bytes: int
    bits_per_weight: float
    component: str
    """``"embeddings"``, ``"attention"``, ``"feed-forward"``, ``"norms"``, ``"head"`` or ``"other"``."""
    finding: str
    """What is wrong with the tensor; empty if nothing is."""


@dataclass(frozen=True, repr=False)
class ComponentSize(Result):
    """The size of a part of a model."""

    component: str
    tensors: int
    parameters: int
    bytes: int


@dataclass(frozen=True, repr=False)
class ReaderVerdict(Result):
    """Whether another program loads the folder."""

    reader: str
    version: str
    """Of the reader, whose rules were applied; empty: any."""
    loads: bool
    why: list[str]
    """Why it does not load or, if it loads, what it does differently."""


@dataclass(frozen=True, repr=False)
class Inspection(Result):
    """What a folder stores, and whether its quantization is real."""

    folder: str
    model_type: str
    diagnosis: str
    """``"float"``, ``"mlx"``, ``"int8"``, ``"fake"``, ``"mixed"`` or ``"unknown"``."""
    evidence: list[str]
    """For the diagnosis, a sentence each."""
    bytes: int
    """Of the weight files."""
    parameters: int
    bits_per_weight: float
    """As stored."""
    bytes_at_8_bits: int | None
    """Of the weight files that a conversion to 8 bits would write; None if it is impossible."""
    mode_at_8_bits: str | None
    components: list[ComponentSize]
    """The largest first."""
    heads: list[str]
    readers: list[ReaderVerdict]
    unknown_keys: list[str]
    """Keys of config.json that nothing uses."""
    changes: list[str]
    """Files that are not as mlx_encoder.json records them."""
    warnings: list[str]
    tensors: list[InspectedTensor]


# ---- verify


@dataclass(frozen=True, repr=False)
class Setting(Result):
    """A setting that results depend on."""

    name: str
    value: str
    source: str
    """The file."""


@dataclass(frozen=True, repr=False)
class CheckedFile(Result):
    """A file and its record."""

    name: str
    problem: str
    """Empty if the file is as recorded."""


@dataclass(frozen=True, repr=False)
class CheckedText(Result):
    """A text of the golden, and what the folder gives for it now."""

    text: str
    pair: str | None
    prompt_name: str
    difference: float
    """The largest, relative to the largest value of the golden."""
    cosine: float
    cosine_to_original: float | None
    recorded_cosine: float | None
    """To the original, when the model was converted."""
    problem: str
    """Empty if the text passed."""


@dataclass(frozen=True, repr=False)
class Verification(Result):
    """Whether a folder still computes what it computed when it was made."""

    folder: str
    verdict: str
    """``"passed"``, ``"failed"`` or ``"unproved"``: there was nothing to compare with."""
    failures: list[str]
    """A sentence each."""
    model_type: str
    engine: str
    engine_variant: str
    settings: list[Setting]
    used_keys: list[str]
    """Of config.json: those that decide something."""
    harmless_keys: list[str]
    ignored_keys: list[str]
    recorded: bool
    """Whether there is an mlx_encoder.json."""
    files: list[CheckedFile]
    golden: str
    """The file; empty without one."""
    golden_made_by: str
    output: str
    """What is compared: ``"sentence"``, ``"logits"``, ..."""
    difference_limit: float | None
    cosine_limit: float | None
    mean_cosine_limit: float | None
    mean_cosine: float
    texts: list[CheckedText]

    @property
    def passed(self) -> bool:
        """Whether everything that can be checked is as it was."""
        return self.verdict == "passed"


# ---- compare


@dataclass(frozen=True, repr=False)
class Difference(Result):
    """The difference of one matrix of results from the original's, over all rows."""

    rows: int
    columns: int
    cosine: float
    """Mean over the rows."""
    cosine_p1: float
    """First percentile."""
    cosine_min: float
    worst_text: int
    """Index of the text with ``cosine_min``."""
    mse: float
    """Mean squared difference."""
    max_abs: float
    """Largest difference."""
    relative_max: float | None
    """``max_abs`` / largest value of the original."""


@dataclass(frozen=True, repr=False)
class Gate(Result):
    """A limit, and what was measured."""

    name: str
    """``"pooled_vector.cosine"``."""
    at_least: bool
    """Whether ``value`` passes at or above ``limit``; else at or below."""
    limit: float
    value: float | None
    """None: not a number, which never passes."""
    passed: bool


@dataclass(frozen=True, repr=False)
class Comparison(Result):
    """What a conversion cost: both models over the same texts, with float32 activations."""

    verdict: str
    """One sentence."""
    passed: bool
    """Whether every gate held."""
    texts: int
    """Sequences run; an embedding model runs a pair as two."""
    tokens: int
    output: Difference
    """Of what users see: sentence vectors or logits."""
    tensors: dict[str, Difference]
    """Of each output tensor."""
    layers: dict[str, Difference]
    """Of token vectors after the embeddings and each layer."""
    gates: list[Gate]
    bits: float
    """Mean bits of the quantized values."""
    warnings: list[str]
    report: dict[str, Any]
    """Everything, as ``mlx-encoder compare --json`` prints it (docs/json/compare.md)."""
    markdown: str
    """The report as Markdown."""
    html: str
    """The report as one web page with charts."""

    def to_dict(self) -> dict[str, Any]:
        """:attr:`report`."""
        return self.report

    def __repr__(self) -> str:
        """The verdict and the output's difference."""
        return f"Comparison(verdict={self.verdict!r}, passed={self.passed}, texts={self.texts}, output={self.output!r})"


def _difference(d: dict[str, Any]) -> Difference:
    c = d["cosine"]
    return Difference(d["rows"], d["columns"], c["mean"], c["p1"], c["min"], c["worst_text"], d["mse"], d["max_abs"],
                      d["relative_max"])  # fmt: skip


def comparison_of(report: str, markdown: str, html: str) -> Comparison:
    """A Comparison of the library's reports."""
    r = json.loads(report)
    return Comparison(
        verdict=r["verdict"],
        passed=r["passed"],
        texts=r["texts"],
        tokens=r["tokens"],
        output=_difference(r["output"]),
        tensors={name: _difference(d) for name, d in r["tensors"].items()},
        layers={d["name"]: _difference(d) for d in r["layers"]},
        gates=[Gate(g["name"], g["at_least"], g["limit"], g["value"], g["passed"]) for g in r["gates"]],
        bits=r["bits"],
        warnings=r["warnings"],
        report=r,
        markdown=markdown,
        html=html,
    )


# ---- evaluate


@dataclass(frozen=True, repr=False)
class Metric(Result):
    """A score of a task; None where it does not exist, or without an original."""

    value: float | None
    original: float | None
    difference: float | None
    """``value - original``."""
    low: float | None
    """The confidence interval of the difference, by a paired bootstrap."""
    high: float | None


@dataclass(frozen=True, repr=False)
class LabelScore(Result):
    """Scores of one label (ner: of one type of span)."""

    label: str
    gold: int
    """Items that have it."""
    precision: float
    recall: float
    f1: float
    original_f1: float | None


@dataclass(frozen=True, repr=False)
class Evaluation(Result):
    """How well a model does a task, and the change by a conversion."""

    task: str
    items: int
    """Texts, pairs, sentences or queries."""
    metrics: dict[str, Metric]
    """``"spearman"``, ``"accuracy"``, ``"ndcg@10"``, ..."""
    labels: list[LabelScore]
    warnings: list[str]
    report: dict[str, Any]
    """Everything, as ``mlx-encoder evaluate --json`` prints it (docs/json/evaluate.md)."""

    def to_dict(self) -> dict[str, Any]:
        """:attr:`report`."""
        return self.report

    def __repr__(self) -> str:
        """The task and its metrics."""
        return f"Evaluation(task={self.task!r}, items={self.items}, metrics={self.metrics!r})"


def evaluation_of(report: str) -> Evaluation:
    """An Evaluation of the library's report."""
    r = json.loads(report)
    return Evaluation(
        task=r["task"],
        items=r["items"],
        metrics={
            name: Metric(m["value"], m.get("original"), m.get("difference"), m.get("low"), m.get("high"))
            for name, m in r["metrics"].items()
        },
        labels=[
            LabelScore(s["label"], s["gold"], s["precision"], s["recall"], s["f1"], s.get("original_f1")) for s in r.get("labels", [])
        ],
        warnings=r["warnings"],
        report=r,
    )
