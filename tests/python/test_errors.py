"""Errors are one class a code, with natural bases."""

import mlx_encoder
import pytest
from mlx_encoder import errors


def test_every_code_has_a_class():
    codes = ["internal", "usage", "gate", "not_found", "io", "format", "unsupported", "numeric", "strict"]
    assert list(errors.BY_CODE) == codes
    for code, cls in errors.BY_CODE.items():
        assert cls.code == code and issubclass(cls, errors.Error) and getattr(mlx_encoder, cls.__name__) is cls
        assert str(cls("a sentence")) == "a sentence"


def test_bases(tiny, tmp_path):
    with pytest.raises(FileNotFoundError) as missing:
        mlx_encoder.Encoder(tmp_path / "nothing")
    assert type(missing.value) is mlx_encoder.NotFoundError and str(tmp_path / "nothing") in str(missing.value)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(mlx_encoder.FormatError, match="config.json"):
        mlx_encoder.Encoder(tmp_path)
    for arguments in ({"engine": "gpu"}, {"activations": "int4"}, {"threads": 10**6}, {"max_seq_length": 0}):
        with pytest.raises(ValueError) as wrong:
            mlx_encoder.Encoder(tiny("bert"), **arguments)
        assert type(wrong.value) is mlx_encoder.UsageError
    with pytest.raises(mlx_encoder.UnsupportedError, match="device"):
        mlx_encoder.Encoder(tiny("bert"), device="mps")


def test_the_mlx_engine_is_not_in_the_wheel(tiny, monkeypatch):
    monkeypatch.delenv("MLXE_ENGINE_DIR", raising=False)
    with pytest.raises(mlx_encoder.UnsupportedError, match="or use the cpu engine"):
        mlx_encoder.Encoder(tiny("st_mean_norm"), engine="mlx")


def test_a_name_of_the_hub_is_looked_for_in_the_cache(tmp_path):
    with pytest.raises(FileNotFoundError, match="org/name"):
        mlx_encoder.Encoder("org/name", cache_folder=tmp_path)
