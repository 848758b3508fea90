"""Pickles of an Encoder: its arguments, from which another process loads the same model."""

import copy
import multiprocessing
import os
import pickle

import mlx_encoder
import numpy as np
import pytest

TEXTS = [f"The road number {i} is long." for i in range(40)]


@pytest.fixture(scope="module", params=["spawn", "forkserver"])
def pool(request):
    """Two processes that share nothing with this one."""
    with multiprocessing.get_context(request.param).Pool(2) as pool:
        yield pool


def test_a_pool_gives_the_same_bits(pool, tiny):
    encoder = mlx_encoder.Encoder(tiny("st_mean_norm"), truncate_dim=16, prompts={"own": "the "}, default_prompt_name="own", threads=1)
    parts = pool.map(encoder.encode, [TEXTS[i : i + 10] for i in range(0, 40, 10)])
    assert np.concatenate(parts).tobytes() == encoder.encode(TEXTS).tobytes()
    assert not np.array_equal(encoder.encode(TEXTS), mlx_encoder.Encoder(tiny("st_mean_norm"), truncate_dim=16).encode(TEXTS))


def test_it_holds_no_weights(tiny):
    content = pickle.dumps(mlx_encoder.Encoder(tiny("st_mean_norm")))
    assert len(content) < 1000
    assert pickle.loads(content).info == mlx_encoder.Encoder(tiny("st_mean_norm")).info


def test_every_argument_is_kept(tiny):
    arguments = {
        "prompts": {"own": "the "},
        "default_prompt_name": "own",
        "similarity_fn_name": "dot",
        "cache_folder": os.path.abspath("x"),
        "local_files_only": True,
        "token": False,
        "truncate_dim": 8,
        "max_seq_length": 9,
        "engine": "cpu",
        "activations": "f32",
        "threads": 1,
        "allow_unknown": True,
    }
    encoder = pickle.loads(pickle.dumps(mlx_encoder.Encoder(tiny("st_mean_norm"), **arguments)))
    kept = encoder._arguments
    assert {name: kept[name] for name in arguments} == arguments
    assert kept.keys() - arguments.keys() == {"model_name_or_path", "task", "adapters"}
    assert (encoder.default_prompt_name, encoder.similarity_fn_name, encoder.dimension, encoder.max_seq_length) == ("own", "dot", 8, 9)


def test_a_relative_folder_is_found_from_elsewhere(tiny, tmp_path, monkeypatch):
    folder = tiny("st_mean_norm")
    monkeypatch.chdir(os.path.dirname(folder))
    content = pickle.dumps(mlx_encoder.Encoder("st_mean_norm"))
    monkeypatch.chdir(tmp_path)
    assert pickle.loads(content).info.folder == folder


def test_a_folder_that_is_gone_is_named(tmp_path, tiny):
    (tmp_path / "m").symlink_to(tiny("st_mean_norm"))
    content = pickle.dumps(mlx_encoder.Encoder(tmp_path / "m"))
    (tmp_path / "m").unlink()
    with pytest.raises(mlx_encoder.NotFoundError, match=str(tmp_path / "m")):
        pickle.loads(content)


def test_a_token_is_not_written_into_a_pickle(tiny):
    encoder = mlx_encoder.Encoder(tiny("st_mean_norm"), token="hf_SECRET")
    with pytest.raises(TypeError, match="was given a token.*HF_TOKEN") as raised:
        pickle.dumps(encoder)
    assert "SECRET" not in str(raised.value)


def test_a_copy_is_the_encoder_itself(load):
    encoder = load("st_mean_norm")
    assert copy.deepcopy(encoder) is encoder and copy.copy([encoder])[0] is encoder
