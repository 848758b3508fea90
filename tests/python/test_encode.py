"""Encoder.encode: the program's bits, in every form of inputs and arguments."""

import inspect
import json
import pathlib
import sys
import types
import warnings

import mlx_encoder
import numpy as np
import pytest

TEXTS = ["The cat sat on the warm piano.", "Take the second road along the river.", "A question", "Café au lait, naïve 🚢 early"]
MODELS = ["st_mean_norm", "st_prompts", "st_dense", "st_lasttoken", "st_new", "st_qwen3", "modernbert", "distilbert", "mpnet"]


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.fixture
def texts_file(tmp_path):
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps(t) + "\n" for t in TEXTS))
    return file


@pytest.mark.parametrize("name", MODELS)
def test_has_the_bits_of_the_program(name, load, tiny, program, texts_file):
    expected = program("embed", tiny(name), "--engine", "cpu", "--input", texts_file)
    assert same_bits(load(name).encode(TEXTS), expected)
    assert not same_bits(load(name).encode(TEXTS[::-1]), expected)


def test_routes_with_encoders_have_the_bits_of_the_program(tiny, program, texts_file, tmp_path):
    folder = str(pathlib.Path(tiny("")).parent / "encoder_routers" / "static")
    converted = str(tmp_path / "8bit")
    assert mlx_encoder.convert(folder, converted, quantize=True, q_group_size=32).output == converted
    for model in (folder, converted):
        encoder = mlx_encoder.Encoder(model)
        query, document = encoder.encode_query(TEXTS), encoder.encode_document(TEXTS)
        assert same_bits(query, program("embed", model, "--engine", "cpu", "--input", texts_file, "--query"))
        assert same_bits(document, program("embed", model, "--engine", "cpu", "--input", texts_file, "--document"))
        assert not same_bits(query, document)
    alone = mlx_encoder.Encoder(folder, task="query")
    assert same_bits(alone.encode_query(TEXTS), mlx_encoder.Encoder(folder).encode_query(TEXTS))


def test_has_the_bits_of_the_program_on_minilm(minilm, program, texts_file):
    encoder = mlx_encoder.Encoder(minilm)
    for precision in ("float32", "float16", "binary", "ubinary"):
        expected = program("embed", minilm, "--engine", "cpu", "--input", texts_file, "--precision", precision)
        assert same_bits(encoder.encode(TEXTS, precision=precision), expected)
    assert encoder.encode(TEXTS).shape == (4, 384)
    assert encoder.similarity(encoder.encode("A cat sleeps."), encoder.encode("A kitten naps."))[0, 0] > 0.5


@pytest.mark.parametrize("precision", ["int8", "uint8"])
def test_codes_of_ranges_are_the_program_s(precision, load, tiny, program, texts_file):
    expected = program("embed", tiny("st_mean_norm"), "--engine", "cpu", "--input", texts_file, "--precision", precision)
    with pytest.warns(mlx_encoder.EncoderWarning, match="4 vectors; take them from 100"):
        assert same_bits(load("st_mean_norm").encode(TEXTS, precision=precision), expected)


def test_a_text_has_the_same_bits_alone_and_in_a_batch(load):
    encoder = load("st_mean_norm")
    together = encoder.encode(TEXTS)
    for row, text in zip(together, TEXTS):
        alone = encoder.encode(text)
        assert alone.shape == (32,) and same_bits(alone, row)


@pytest.mark.parametrize("form", [list, tuple, np.array, iter, lambda t: (x for x in t), lambda t: dict.fromkeys(t).keys()])
def test_takes_every_form_of_several_texts(form, load):
    encoder = load("st_mean_norm")
    assert same_bits(encoder.encode(form(TEXTS)), encoder.encode(TEXTS))
    assert same_bits(encoder.encode(sentences=form(TEXTS)), encoder.encode(TEXTS))


def test_one_text_is_a_vector_and_none_are_a_matrix_without_rows(load):
    encoder = load("st_mean_norm")
    assert encoder.encode(np.str_("A question")).shape == (32,)
    assert encoder.encode(["A question"]).shape == (1, 32)
    assert encoder.encode([]).shape == (0, 32)
    assert encoder.encode([], precision="ubinary").shape == (0, 4)


def test_values_are_not_copied(load):
    vectors = load("st_mean_norm").encode(TEXTS)
    assert not vectors.flags.owndata and vectors.flags.writeable and vectors.flags.c_contiguous
    copy = vectors.copy()
    del vectors
    assert same_bits(load("st_mean_norm").encode(TEXTS), copy)


def test_arrays_outlive_their_encoder(tiny):
    encoder = mlx_encoder.Encoder(tiny("st_mean_norm"))
    row, copy = encoder.encode(TEXTS)[1], encoder.encode(TEXTS)[1].copy()
    del encoder
    assert same_bits(row, copy)


def test_prompts(load, tiny, program):
    encoder = load("st_prompts")
    assert encoder.prompts == {"document": "", "query": "take the road: "}
    query = program("embed", tiny("st_prompts"), "--engine", "cpu", "--query", "A question")[0]
    for vector in (
        encoder.encode_query("A question"),
        encoder.encode("A question", prompt_name="query"),
        encoder.encode("A question", prompt="take the road: "),
        encoder.encode_document("A question", prompt_name="query"),
        mlx_encoder.Encoder(tiny("st_prompts"), default_prompt_name="query").encode("A question"),
        mlx_encoder.Encoder(tiny("st_prompts"), prompts={"mine": "take the road: "}).encode("A question", prompt_name="mine"),
    ):
        assert same_bits(vector, query)
    assert not same_bits(encoder.encode_document("A question"), query)
    with pytest.raises(mlx_encoder.UsageError, match="prompts document, query"):
        encoder.encode("A question", prompt_name="passage")
    with pytest.raises(ValueError, match="give one of the two"):
        encoder.encode("A question", prompt_name="query", prompt="x")
    with pytest.raises(mlx_encoder.UsageError, match="default_prompt_name"):
        mlx_encoder.Encoder(tiny("st_prompts"), default_prompt_name="nothing")


def test_truncate_dim_and_normalize(load, tiny, program):
    encoder = load("st_mean_norm")
    expected = program("embed", tiny("st_mean_norm"), "--engine", "cpu", "--dim", 8, "A question")[0]
    assert same_bits(encoder.encode("A question", truncate_dim=8), expected)
    short = mlx_encoder.Encoder(tiny("st_mean_norm"), truncate_dim=8)
    assert same_bits(short.encode("A question"), expected)
    assert short.dimension == short.get_sentence_embedding_dimension() == 8
    raw = load("distilbert").encode("A question")
    unit = load("distilbert").encode("A question", normalize_embeddings=True)
    # Rounding: 32 squares and a division in float32 are within 40 units of 2^-24 of the quotient.
    assert abs(np.linalg.norm(raw) - 1) > 0.01
    assert np.allclose(unit, raw / np.linalg.norm(raw), rtol=40 * 2**-24, atol=0)
    for wrong in (33, 0, -1):
        with pytest.raises(mlx_encoder.UsageError):
            encoder.encode("A question", truncate_dim=wrong)


def test_token_vectors_of_a_late_interaction_model(load, program, tiny):
    encoder = load("colbert")
    (expected,) = program("embed-tokens", tiny("colbert"), "--engine", "cpu", "--document", "A warm road")
    found = encoder.encode(["A warm road", "x"], output_value="token_embeddings")
    assert len(found) == 2 and found[0].shape[1] == 16
    assert np.array_equal(np.array(expected["vectors"], np.float32), found[0])
    assert encoder.encode_query("A warm road", output_value="token_embeddings").shape != found[0].shape
    with pytest.raises(mlx_encoder.UnsupportedError):
        load("st_mean_norm").encode("x", output_value="token_embeddings")
    with pytest.raises(mlx_encoder.UsageError, match="takes no prompt"):
        encoder.encode("x", output_value="token_embeddings", normalize_embeddings=True)
    with pytest.raises(mlx_encoder.UnsupportedError, match="output_value"):
        encoder.encode("x", output_value=None)
    with pytest.raises(mlx_encoder.UnsupportedError, match="MaxSim"):
        encoder.similarity(found[0], found[1])


def test_a_long_text_is_truncated_with_a_warning(load, tiny):
    encoder = load("st_mean_norm")
    assert encoder.max_seq_length == 24
    with pytest.warns(mlx_encoder.EncoderWarning, match="text 2: truncated to 24 tokens") as told:
        encoder.encode(["short", "the road " * 40])
    assert [w.filename for w in told] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.encode(["short"])
        with pytest.raises(mlx_encoder.EncoderWarning):
            encoder.encode("the road " * 40)
    assert mlx_encoder.Encoder(tiny("st_mean_norm"), max_seq_length=8).max_seq_length == 8


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (3, "found int"),
        (b"x", "found bytes"),
        (None, "give inputs or sentences"),
        ({"text": "x"}, "found dict"),
        (["a", 3], "text 2: found int, expected str"),
        ([["a"]], "text 1: found list"),
    ],
)
def test_what_is_no_text_is_a_type_error(inputs, message, load):
    with pytest.raises(TypeError, match=message):
        load("st_mean_norm").encode(inputs)


def test_a_lone_surrogate_is_a_unicode_error(load):
    with pytest.raises(UnicodeEncodeError):
        load("st_mean_norm").encode(["a", "\ud800"])


def test_takes_the_arguments_of_sentence_transformers(load):
    names = ["prompt_name", "prompt", "batch_size", "show_progress_bar", "output_value", "precision", "convert_to_numpy",
             "convert_to_tensor", "device", "normalize_embeddings", "truncate_dim"]  # fmt: skip
    encoder = load("st_mean_norm")
    for method in (encoder.encode, encoder.encode_query, encoder.encode_document):
        assert list(inspect.signature(method).parameters)[1:12] == names
    expected = encoder.encode(TEXTS)
    given = encoder.encode(TEXTS, None, None, 2, False, "sentence_embedding", "float32", True, False, "cpu", False, None)
    assert same_bits(given, expected)
    with pytest.raises(mlx_encoder.UsageError, match="batch_size: found 0"):
        encoder.encode(TEXTS, batch_size=0)
    with pytest.raises(mlx_encoder.UnsupportedError, match="device: found 'cuda'"):
        encoder.encode(TEXTS, device="cuda")
    with pytest.raises(TypeError):
        encoder.encode(TEXTS, no_such_argument=1)


def test_tensors_need_torch(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for arguments in ({"convert_to_tensor": True}, {"convert_to_numpy": False}):
        with pytest.raises(TypeError, match="need torch"):
            load("st_mean_norm").encode(TEXTS, **arguments)


def test_tensors_share_the_memory(load, monkeypatch):
    made = []
    torch = types.SimpleNamespace(from_numpy=lambda array: made.append(array) or array.view())  # an array is a good tensor
    monkeypatch.setitem(sys.modules, "torch", torch)
    encoder = load("st_mean_norm")
    tensor = encoder.encode(TEXTS, convert_to_tensor=True)
    assert np.shares_memory(tensor, made[0]) and not made[0].flags.owndata and tensor.shape == (4, 32)
    assert encoder.encode("x", convert_to_tensor=True).shape == (32,)
    rows = encoder.encode(TEXTS, convert_to_numpy=False)
    assert isinstance(rows, list) and len(rows) == 4 and np.shares_memory(rows[0], made[-1])


def test_quantize_embeddings_takes_ranges():
    vectors = np.array([[0, 1], [1, 3]], np.float32)
    ranges = np.array([[0, 1], [255, 256]], np.float32)
    assert mlx_encoder.quantize_embeddings(vectors, "uint8", ranges=ranges).tolist() == [[0, 0], [1, 2]]
    assert mlx_encoder.quantize_embeddings(vectors, "int8", ranges=ranges).tolist() == [[-128, -128], [-127, -126]]
    wide = np.zeros((100, 2), np.float32) + ranges[1]
    wide[0] = ranges[0]
    assert mlx_encoder.quantize_embeddings(vectors, "uint8", calibration_embeddings=wide).tolist() == [[0, 0], [1, 2]]
    with pytest.raises(mlx_encoder.UsageError):
        mlx_encoder.quantize_embeddings(vectors, "int4")
    with pytest.raises(mlx_encoder.UsageError):
        mlx_encoder.quantize_embeddings(vectors, "int8", ranges=ranges[:, :1])
    with pytest.raises(mlx_encoder.NumericError):
        mlx_encoder.quantize_embeddings(vectors * 1e6, "float16")


def test_no_precision_is_float32(load):
    assert load("st_mean_norm").encode("x", precision=None).dtype == np.float32


def test_similarities(tiny):
    a, b = np.array([[3, 4], [1, 0]], np.float32), np.array([0, 2], np.float32)
    expected = {"cosine": [[0.8], [0]], "dot": [[8], [0]], "euclidean": [[-(13**0.5)], [-(5**0.5)]], "manhattan": [[-5], [-3]]}
    for name, values in expected.items():
        encoder = mlx_encoder.Encoder(tiny("st_mean_norm"), similarity_fn_name=name)
        found = encoder.similarity(a, b)
        # Each value is a sum of two products and a root or quotient, each rounded to 2^-24 of it.
        assert encoder.similarity_fn_name == name and found.dtype == np.float32
        assert np.allclose(found, values, rtol=4 * 2**-24, atol=0)
        assert encoder.similarity(a[:0], b).shape == (0, 1)
        pairwise = encoder.similarity_pairwise(a, np.stack([b, b]))
        assert pairwise.dtype == np.float32 and np.allclose(pairwise, np.ravel(values), rtol=4 * 2**-24, atol=0)
        with pytest.raises(mlx_encoder.UsageError, match=r"found vectors of shapes \(2, 2\) and \(1, 2\), expected the same"):
            encoder.similarity_pairwise(a, b)
    assert mlx_encoder.Encoder(tiny("st_mean_norm")).similarity_fn_name == "cosine"
    with pytest.raises(mlx_encoder.UnsupportedError, match="similarity_fn_name: found 'jaccard'"):
        mlx_encoder.Encoder(tiny("st_mean_norm"), similarity_fn_name="jaccard")


def test_a_task_is_merged_as_the_program_does(tiny, program, tmp_path):
    text, task = "The cat sat on the warm piano.", "retrieval.query"
    vector = mlx_encoder.Encoder(tiny("st_jina_v3"), task=task).encode(text)
    assert np.array_equal(vector, program("embed", tiny("st_jina_v3"), text, "--engine", "cpu", "--task", task)[0])
    mlx_encoder.convert(tiny("st_jina_v3"), tmp_path / "query", dtype="float32", task=task)
    assert np.array_equal(vector, mlx_encoder.Encoder(tmp_path / "query").encode(text))
    with pytest.raises(mlx_encoder.UsageError, match="no task"):
        mlx_encoder.Encoder(tiny("st_jina_v3"), task="clustering")


def test_attributes_without_an_effect_cannot_be_set(load):
    encoder = load("st_prompts")
    for name, value in (("truncate_dim", 8), ("batch_size", 4), ("max_seq_length", 9)):
        with pytest.raises(AttributeError):
            setattr(encoder, name, value)
    with pytest.raises(TypeError):
        encoder.prompts["query"] = "x "
    assert encoder.truncate_dim is None


def test_a_truncate_dim_above_the_models_is_refused_at_once(tiny):
    with pytest.raises(mlx_encoder.UsageError, match="truncate_dim: found 99, the model's vectors have 32 values"):
        mlx_encoder.Encoder(tiny("st_prompts"), truncate_dim=99)


class Table:
    """As tables of pandas and others: iterating gives the names of the columns."""

    columns = ("title", "body")

    def __iter__(self):
        return iter(self.columns)


@pytest.mark.parametrize("table", [Table(), np.array([["a", "b"], ["c", "d"]])])
def test_tables_are_no_texts(load, table):
    with pytest.raises(TypeError, match="pass one column"):
        load("st_prompts").encode(table)


def test_no_texts_have_no_codes(load):
    for precision, dtype in (("int8", np.int8), ("uint8", np.uint8)):
        codes = load("st_prompts").encode([], precision=precision)
        assert codes.shape == (0, 32) and codes.dtype == dtype


def test_similarity_takes_floats_of_one_width(load):
    encoder = load("st_prompts")
    bits = encoder.encode(["a", "b"], precision="ubinary")
    for a, b, said in ((bits, bits, "found codes"), (np.ones((2, 3)), np.ones((2, 4)), "3 and 4 values"), (np.ones((1, 2, 3)), np.ones(3), "shape")):
        with pytest.raises(mlx_encoder.UsageError, match=said):
            encoder.similarity(a, b)
    assert encoder.similarity([], []).shape == (0, 0)
