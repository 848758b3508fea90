"""Tasks of the real mteb measure of an Encoder what they measure of sentence-transformers' model."""

import csv
import pathlib

import mlx_encoder
import pytest

pytest.importorskip("mteb", reason="mteb (with torch) is not installed: make test-integrations TORCH=1")

import datasets  # noqa: E402
import mteb  # noqa: E402
from mteb.mocks import mock_tasks  # noqa: E402
from mteb.models import EncoderProtocol  # noqa: E402
from mteb.types import PromptType  # noqa: E402
from sentence_transformers import SentenceTransformer  # noqa: E402

from mlx_encoder.integrations.mteb import MlxEncoderModel  # noqa: E402

# Of mteb itself.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

STSB = pathlib.Path(__file__).resolve().parents[4] / "shared/data/stsb-test.tsv"

# Tasks that mteb makes for its own tests; they need no download.
TASKS = [
    "BitextMining",
    "Classification",
    "MultilingualClusteringFast",
    "PairClassification",
    "Reranking",
    "Retrieval",
    "STS",
    "Summarization",
]


@pytest.fixture(scope="module")
def both(minilm):
    return SentenceTransformer(minilm, device="cpu"), MlxEncoderModel(minilm)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_measures_the_same(name, both):
    task = getattr(mock_tasks, f"Mock{name}Task")

    def scores(model):
        (result,) = mteb.evaluate(model, task(), cache=None, co2_tracker=False, show_progress_bar=False).task_results
        return {(row["hf_subset"], k): v for rows in result.scores.values() for row in rows for k, v in row.items() if isinstance(v, float)}

    expected, found = map(scores, both)
    assert len(expected) > 1 and found == pytest.approx(expected, abs=1e-5, nan_ok=True)


@pytest.mark.skipif(not STSB.exists(), reason="STS-B is not here")
def test_stsb_gives_the_figures_of_evaluate(both, minilm):
    class StsB(mock_tasks.MockSTSTask):
        def load_data(self, **_):
            with STSB.open(encoding="utf-8") as file:
                rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
            names = {"sentence1": "text", "sentence2": "text_pair", "score": "score"}
            columns = {new: [row[old] for row in rows] for new, old in names.items()}
            columns["score"] = [float(score) for score in columns["score"]]
            self.dataset = datasets.DatasetDict({"test": datasets.Dataset.from_dict(columns)})
            self.data_loaded = True

    (result,) = mteb.evaluate(both[1], StsB(), cache=None, co2_tracker=False, show_progress_bar=False).task_results
    (found,) = result.scores["test"]
    expected = mlx_encoder.evaluate(minilm, STSB, task="similarity", resamples=1).metrics
    for name in ("pearson", "spearman"):
        assert found[f"cosine_{name}"] == pytest.approx(expected[name].value, abs=1e-8)


def test_the_model(both, tiny):
    _, model = both
    assert isinstance(model, EncoderProtocol)
    meta = MlxEncoderModel(mlx_encoder.Encoder(tiny("st_prompts")), "v2", name="my/model").mteb_model_meta
    assert (meta.name, meta.revision, meta.embed_dim) == ("my/model", "v2", 32)
    with pytest.raises(NotImplementedError, match="device: found 'cuda'"):
        MlxEncoderModel(tiny("st_prompts"), device="cuda")
    assert model.mteb_model_meta.name == "mlx-encoder/model" and model.mteb_model_meta.max_tokens == 256


def test_prompts(load, tiny):
    encoder, metadata = load("st_prompts"), mock_tasks.MockRetrievalTask.metadata

    def encoded(model, prompt_type):
        batches = [{"text": ["a", "b"]}, {"text": ["c"]}]
        return model.encode(batches, task_metadata=metadata, hf_split="", hf_subset="", prompt_type=prompt_type)

    model = MlxEncoderModel(tiny("st_prompts"))
    assert (encoded(model, PromptType.query) == encoder.encode_query(["a", "b", "c"])).all()
    assert (encoded(model, PromptType.document) == encoder.encode_document(["a", "b", "c"])).all()
    assert (encoded(model, None) == encoder.encode(["a", "b", "c"])).all()
    own = MlxEncoderModel(encoder, model_prompts={"MockRetrievalTask-query": "Find: "})
    assert (encoded(own, PromptType.query) == encoder.encode(["a", "b", "c"], prompt="Find: ")).all()
