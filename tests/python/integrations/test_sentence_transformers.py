"""Evaluators of the real sentence-transformers take an Encoder, and measure of it what they measure of their own model."""

import csv
import pathlib

import mlx_encoder
import numpy as np
import pytest

pytest.importorskip("sentence_transformers", reason="sentence-transformers (with torch) is not installed: make test-integrations TORCH=1")

import torch  # noqa: E402
from sentence_transformers import SentenceTransformer, util  # noqa: E402
from sentence_transformers.sentence_transformer import evaluation  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:Creating a tensor from a list")
STSB = pathlib.Path(__file__).resolve().parents[4] / "shared/data/stsb-test.tsv"

TEXTS = [
    "The sky is blue.",
    "The sky looks blue today.",
    "Bees live in hives.",
    "A hive is home to thousands of bees.",
    "Stocks fell on Monday.",
    "Shares lost value at the start of the week.",
    "A cat sleeps on the sofa.",
    "The kitten naps on the couch.",
]
ONE, TWO = TEXTS[::2], TEXTS[1::2]
CORPUS = {str(i): text for i, text in enumerate(TEXTS)}
SAMPLES = [{"query": a, "positive": [b], "negative": [c for c in TWO if c != b]} for a, b in zip(ONE, TWO)]

EVALUATORS = {
    "similarity": lambda: evaluation.EmbeddingSimilarityEvaluator(TEXTS, TEXTS[1:] + TEXTS[:1], [0.9, 0.1, 0.8, 0.2, 0.7, 0.1, 0.95, 0]),
    "similarity of ubinary": lambda: evaluation.EmbeddingSimilarityEvaluator(
        TEXTS, TEXTS[1:] + TEXTS[:1], [0.9, 0.1, 0.8, 0.2, 0.7, 0.1, 0.95, 0], precision="ubinary", similarity_fn_names=["dot"]
    ),
    "similarity, 64 values": lambda: evaluation.EmbeddingSimilarityEvaluator(
        TEXTS, TEXTS[1:] + TEXTS[:1], [0.9, 0.1, 0.8, 0.2, 0.7, 0.1, 0.95, 0], truncate_dim=64
    ),
    "binary": lambda: evaluation.BinaryClassificationEvaluator(
        ONE + ONE, TWO + TWO[1:] + TWO[:1], [1] * 4 + [0] * 4, similarity_fn_names=["cosine", "dot", "euclidean", "manhattan"]
    ),
    "triplet": lambda: evaluation.TripletEvaluator(ONE, TWO, TWO[1:] + TWO[:1]),
    "retrieval": lambda: evaluation.InformationRetrievalEvaluator(
        {q: CORPUS[q] for q in "0246"}, CORPUS, {q: {str(int(q) + 1)} for q in "0246"}
    ),
    "reranking": lambda: evaluation.RerankingEvaluator(SAMPLES),
    "translation": lambda: evaluation.TranslationEvaluator(ONE, TWO),
    "paraphrases": lambda: evaluation.ParaphraseMiningEvaluator(CORPUS, [(str(i), str(i + 1)) for i in range(0, 8, 2)]),
}


@pytest.fixture(scope="module")
def both(minilm):
    return SentenceTransformer(minilm, device="cpu"), mlx_encoder.Encoder(minilm)


@pytest.mark.parametrize("name", EVALUATORS)
def test_an_evaluator_measures_the_same(name, both):
    expected, found = (EVALUATORS[name]()(model) for model in both)
    # Both compute in float32: vectors differ by some 1e-7, figures of rankings not at all.
    assert found == pytest.approx(expected, abs=2e-6) and expected


def test_the_mean_squared_error_to_their_vectors(both):
    real, encoder = both
    evaluator = evaluation.MSEEvaluator(TEXTS, TEXTS, teacher_model=real)
    (error,) = (value for key, value in evaluator(encoder).items() if "mse" in key)
    assert 0 <= -error < 1e-9
    damaged = mlx_encoder.Encoder(encoder.info.folder, max_seq_length=4)
    (error,) = (value for key, value in evaluator(damaged).items() if "mse" in key)
    assert -error > 1e-3


@pytest.mark.skipif(not STSB.exists(), reason="STS-B is not here")
def test_stsb_gives_the_figures_of_evaluate(both):
    real, encoder = both
    with STSB.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    one, two, gold = ([row[c] for row in rows] for c in ("text", "text_pair", "score"))
    gold = [float(g) for g in gold]
    theirs = evaluation.EmbeddingSimilarityEvaluator(one, two, gold)(encoder)
    ours = mlx_encoder.evaluate(encoder.info.folder, STSB, task="similarity", resamples=1).metrics
    # The vectors are the same bits; their cosines are float32, ours float64.
    for name in ("pearson", "spearman"):
        assert theirs[f"{name}_cosine"] == pytest.approx(ours[name].value, abs=1e-8)
    assert round(ours["spearman"].value, 4) == 0.8203 and round(ours["pearson"].value, 4) == 0.8274


def test_similarities_are_theirs(tiny):
    a, b = (np.random.default_rng(s).standard_normal((5, 8), dtype=np.float32) for s in (1, 2))
    for name in ("cosine", "dot", "euclidean", "manhattan"):
        encoder = mlx_encoder.Encoder(tiny("st_mean_norm"), similarity_fn_name=name)
        functions = util.SimilarityFunction.to_similarity_fn(name), util.SimilarityFunction.to_similarity_pairwise_fn(name)
        for ours, theirs in zip((encoder.similarity, encoder.similarity_pairwise), functions):
            assert isinstance(ours(a, b), np.ndarray)
            found = ours(torch.from_numpy(a), b)
            assert isinstance(found, torch.Tensor) and found.shape == theirs(a, b).shape
            # Sums of 8 products; torch's distances come from a matrix product.
            assert torch.allclose(found, theirs(a, b), rtol=1e-5, atol=1e-5)


def test_names_of_newer_and_older_versions(both):
    for method in ("get_embedding_dimension", "get_sentence_embedding_dimension", "get_max_seq_length"):
        theirs, ours = (getattr(model, method)() for model in both)
        assert ours == theirs
    for attribute in ("similarity_fn_name", "max_seq_length", "default_prompt_name"):
        theirs, ours = (getattr(model, attribute) for model in both)
        assert ours == theirs
