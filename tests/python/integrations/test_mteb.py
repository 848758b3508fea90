"""Tasks of the real mteb measure of an Encoder what they measure of sentence-transformers' model."""

import mlx_encoder
import pytest

pytest.importorskip("mteb", reason="mteb (with torch) is not installed: make test-integrations TORCH=1")

import mteb  # noqa: E402
from mteb.mocks import mock_tasks  # noqa: E402
from mteb.models import EncoderProtocol  # noqa: E402
from mteb.types import PromptType  # noqa: E402
from sentence_transformers import SentenceTransformer  # noqa: E402

from mlx_encoder.integrations.mteb import MlxEncoderModel  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")

# Tasks that mteb makes for its own tests; they need no download.
TASKS = ["STS", "PairClassification", "Classification", "MultilingualClusteringFast", "BitextMining", "Retrieval", "Reranking", "Summarization"]


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


def test_the_model(both, tiny):
    _, model = both
    assert isinstance(model, EncoderProtocol)
    meta = MlxEncoderModel(mlx_encoder.Encoder(tiny("st_prompts")), "v2", name="my/model").mteb_model_meta
    assert (meta.name, meta.revision, meta.embed_dim) == ("my/model", "v2", 32)
    assert model.mteb_model_meta.name == "mlx-encoder/model" and model.mteb_model_meta.max_tokens == 256


def test_prompts(load, tiny):
    encoder, metadata = load("st_prompts"), mock_tasks.MockRetrievalTask.metadata

    def encoded(model, prompt_type):
        return model.encode([{"text": ["a", "b"]}, {"text": ["c"]}], task_metadata=metadata, hf_split="", hf_subset="", prompt_type=prompt_type)

    model = MlxEncoderModel(tiny("st_prompts"))
    assert (encoded(model, PromptType.query) == encoder.encode_query(["a", "b", "c"])).all()
    assert (encoded(model, PromptType.document) == encoder.encode_document(["a", "b", "c"])).all()
    assert (encoded(model, None) == encoder.encode(["a", "b", "c"])).all()
    own = MlxEncoderModel(encoder, model_prompts={"MockRetrievalTask-query": "Find: "})
    assert (encoded(own, PromptType.query) == encoder.encode(["a", "b", "c"], prompt="Find: ")).all()
