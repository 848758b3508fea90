"""A transformer in the real scikit-learn."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed: make test-integrations")

import joblib  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.utils import estimator_checks  # noqa: E402

from mlx_encoder.integrations.sklearn import EncoderTransformer  # noqa: E402

GOOD = ["I love it.", "A wonderful film.", "Great acting and a moving story.", "The best evening in years.", "Delightful."]
BAD = ["I hate it.", "A terrible film.", "Bad acting and a dull story.", "The worst evening in years.", "Boring."]
TEXTS, LABELS = GOOD + BAD, [1] * len(GOOD) + [0] * len(BAD)


def test_vectors_are_those_of_the_encoder(load, tiny):
    encoder = load("st_prompts")
    transformer = EncoderTransformer(tiny("st_prompts"), prompt_name="query", truncate_dim=8, normalize_embeddings=True)
    expected = encoder.encode(TEXTS, prompt_name="query", truncate_dim=8, normalize_embeddings=True)
    assert np.array_equal(transformer.fit_transform(TEXTS), expected)
    assert np.array_equal(transformer.transform(np.array(TEXTS, dtype=object)), expected)
    assert list(transformer.get_feature_names_out()[:2]) == ["encodertransformer0", "encodertransformer1"]
    assert len(transformer.get_feature_names_out()) == 8
    whole = EncoderTransformer(tiny("st_prompts"))
    assert np.array_equal(whole.transform(iter(TEXTS)), encoder.encode(TEXTS)) and whole.transform([]).shape == (0, encoder.dimension)


# Those of its checks that do not fit an estimator on tables of numbers.
CHECKS = [
    "check_estimator_cloneable",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_get_params_invariance",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
    "check_mixin_order",
]


@pytest.mark.parametrize("check", CHECKS)
def test_scikit_learns_own_checks(check, tiny):
    getattr(estimator_checks, check)("EncoderTransformer", EncoderTransformer(tiny("st_mean_norm")))


def test_parameters(load, tiny):
    transformer = EncoderTransformer(tiny("st_prompts"), truncate_dim=8).fit(TEXTS)
    copy = clone(transformer)
    assert copy.get_params() == transformer.get_params() and copy.transform(TEXTS).shape == (10, 8)
    copy.set_params(model=tiny("st_mean_norm"), truncate_dim=None)
    assert np.array_equal(copy.transform(TEXTS), load("st_mean_norm").encode(TEXTS))
    with pytest.raises(FileNotFoundError):
        EncoderTransformer("no-such-folder/model").fit(TEXTS)


def test_wrong_input_is_refused(tiny):
    transformer = EncoderTransformer(tiny("st_mean_norm"))
    for call in (transformer.fit, transformer.transform):
        with pytest.raises(ValueError, match="X: found a str, expected several"):
            call("A text.")
        with pytest.raises(ValueError, match="X: found int, expected str"):
            call(["A text.", 3])
        with pytest.raises(ValueError, match="X: found ndarray, expected str; of a table, pass one column"):
            call(np.array([["a"], ["b"]]))


def test_a_pipeline_learns_searches_and_is_pickled(minilm, tmp_path):
    pipeline = make_pipeline(EncoderTransformer(minilm), LogisticRegression()).fit(TEXTS, LABELS)
    tests = ["An awful, tedious movie.", "A lovely, touching movie."]
    assert list(pipeline.predict(tests)) == [0, 1]
    expected = pipeline.predict_proba(tests)
    again = pickle.loads(pickle.dumps(pipeline))
    assert len(pickle.dumps(pipeline)) < 20_000 and np.array_equal(again.predict_proba(tests), expected)
    joblib.dump(pipeline, tmp_path / "pipeline")
    assert np.array_equal(joblib.load(tmp_path / "pipeline").predict_proba(tests), expected)
    search = GridSearchCV(pipeline, {"encodertransformer__truncate_dim": [16, None], "logisticregression__C": [1, 10]}, cv=2)
    assert search.fit(TEXTS, LABELS).best_score_ >= 0.7


def test_a_column_of_a_table(minilm):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"text": TEXTS, "stars": range(10)})
    columns = ColumnTransformer([("text", EncoderTransformer(minilm), "text"), ("stars", "passthrough", ["stars"])])
    assert columns.fit_transform(table).shape == (10, 385)
    found = columns.set_output(transform="pandas").fit_transform(table)
    assert list(found.columns[-2:]) == ["text__encodertransformer383", "stars__stars"]


def test_a_table_or_a_generator_is_refused(tiny):
    class Table(list):
        columns = ("title", "body")

    transformer = EncoderTransformer(tiny("st_prompts"))
    with pytest.raises(ValueError, match="pass one column"):
        transformer.transform(Table(["title", "body"]))
    with pytest.raises(ValueError, match="can be read only once"):
        transformer.fit_transform(t for t in ("a", "b"))


def test_a_pickle_never_holds_a_token(tiny):
    with pytest.raises(TypeError, match="HF_TOKEN"):
        pickle.dumps(EncoderTransformer(tiny("st_prompts"), model_kwargs={"token": "hf_secret"}))
