"""convert, inspect, verify, compare, evaluate: what the program writes and prints."""

import dataclasses
import json
import pathlib
import pickle

import mlx_encoder
import pytest

TEXTS = ["The road is long.", "A warm house", "Take the second road along the river.", "The bread was still warm."]


def files(folder):
    return {p.name: p.read_bytes() for p in pathlib.Path(folder).iterdir() if p.suffix in (".safetensors", ".json")}


@pytest.fixture
def converted(tiny, tmp_path):
    mlx_encoder.convert(tiny("st_mean_norm"), tmp_path / "8bit", quantize=True, q_group_size=32)
    return str(tmp_path / "8bit")


@pytest.mark.parametrize("bits", [8, 4])
def test_convert_writes_the_program_s_bytes(bits, tiny, tmp_path, program):
    arguments = ["-q", "--q-bits", bits, "--q-group-size", 32, "--keep", "encoder.layer.0.*"]
    (expected,) = program("convert", tiny("st_mean_norm"), "--mlx-path", tmp_path / "a", *arguments)
    found = mlx_encoder.convert(
        tiny("st_mean_norm"), tmp_path / "b", quantize=True, q_bits=bits, q_group_size=32, keep=["encoder.layer.0.*"]
    )
    assert files(tmp_path / "a")["model.safetensors"] == files(tmp_path / "b")["model.safetensors"]
    assert files(tmp_path / "a")["config.json"] == files(tmp_path / "b")["config.json"]
    ours = found.to_dict()
    for key in ("bytes", "predicted_bytes", "source_bytes", "parameters", "bits_per_weight", "tensors", "notes", "warnings"):
        assert json.loads(json.dumps(ours[key])) == expected[key], key
    assert bool(found.calibration) == (bits == 4)
    assert mlx_encoder.convert(
        tiny("st_mean_norm"), tmp_path / "b", quantize=True, q_bits=bits, q_group_size=32, keep="encoder.layer.0.*"
    ).skipped


def test_convert_calibrates_on_texts_as_the_program(tiny, tmp_path, program):
    (tmp_path / "t.txt").write_text("\n".join(TEXTS) + "\n")
    program("convert", tiny("st_mean_norm"), "--mlx-path", tmp_path / "a", "-q", "--q-bits", 4, "--q-group-size", 32,
            "--calibrate", tmp_path / "t.txt", "--calibrate-only")  # fmt: skip
    four = {"quantize": True, "q_bits": 4, "q_group_size": 32}
    mlx_encoder.convert(tiny("st_mean_norm"), tmp_path / "b", calibrate=TEXTS, calibrate_only=True, **four)
    mlx_encoder.convert(tiny("st_mean_norm"), tmp_path / "c", calibrate="none", **four)
    mlx_encoder.convert(tiny("st_mean_norm"), tmp_path / "d", method="rtn", **four)
    a, b, c, d = (files(tmp_path / f)["model.safetensors"] for f in "abcd")
    assert a == b != c == d
    found = mlx_encoder.convert(tiny("st_mean_norm"), tmp_path / "e", method="mse", **four)
    assert {t.method for t in found.calibration} == {"mse", "rtn"}  # the default has "gptq"


def test_a_preset_writes_the_program_s_bytes(tiny, tmp_path, program):
    program("convert", tiny("st_mean_norm"), "--mlx-path", tmp_path / "a", "--quant-predicate", "mixed_4_8", "--q-group-size", 32)
    mixed = {"quantize": True, "quant_predicate": "mixed_4_8"}
    found = mlx_encoder.convert(tiny("st_mean_norm"), tmp_path / "b", q_group_size=32, **mixed)
    assert files(tmp_path / "a")["model.safetensors"] == files(tmp_path / "b")["model.safetensors"]
    assert {t.bits for t in found.tensors if t.mode == "affine"} == {4, 8}
    with pytest.raises(mlx_encoder.UsageError, match="leave q_bits"):
        mlx_encoder.convert(tiny("st_mean_norm"), tmp_path / "c", q_bits=4, **mixed)


def test_a_dry_run_writes_nothing(tiny, tmp_path):
    plan = mlx_encoder.convert(tiny("bert"), tmp_path / "out", quantize=True, q_group_size=32, dry_run=True)
    assert plan.dry_run and plan.bytes is None and not (tmp_path / "out").exists()
    assert mlx_encoder.convert(tiny("bert"), tmp_path / "out", quantize=True, q_group_size=32).bytes == plan.predicted_bytes


def test_dequantize_gives_floats(converted, tmp_path):
    mlx_encoder.convert(converted, tmp_path / "float", dequantize=True, dtype="float32")
    assert mlx_encoder.inspect(tmp_path / "float").bits_per_weight == 32


def test_errors_of_convert(tiny, tmp_path):
    for arguments, error in [
        ({"quantize": True, "q_bits": 7}, mlx_encoder.UsageError),
        ({"quantize": True, "q_mode": "float"}, mlx_encoder.UsageError),
        ({"quantize": True, "keep": ["nothing.*"]}, mlx_encoder.UsageError),
        ({"quantize": True, "calibrate": "some"}, mlx_encoder.UsageError),
        ({"quantize": True, "calibrate_only": True}, mlx_encoder.UsageError),
        ({"quantize": True, "method": "gptq"}, mlx_encoder.UsageError),
        ({"quantize": True, "q_bits": 4, "calibrate": "none", "calibrate_limit": 3}, mlx_encoder.UsageError),
        ({"q_bits": 4}, mlx_encoder.UsageError),
        ({"keep": "encoder.*"}, mlx_encoder.UsageError),
        ({"dequantize": True, "quantize": True}, mlx_encoder.UsageError),
        ({"dtype": "float"}, mlx_encoder.UsageError),
        ({"max_shard_size": "big"}, mlx_encoder.UsageError),
    ]:
        with pytest.raises(error):
            mlx_encoder.convert(tiny("bert"), tmp_path / "out", **arguments)
    with pytest.raises(FileNotFoundError):
        mlx_encoder.convert(tmp_path / "nothing", tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").write_text("x")
    with pytest.raises(mlx_encoder.UsageError):
        mlx_encoder.convert(tiny("bert"), tmp_path / "full")
    assert not (tmp_path / "out").exists()


def test_inspect_is_the_program_s(tiny, converted, program):
    for folder in (tiny("bert"), converted):
        (expected,) = program("inspect", folder)
        found = json.loads(json.dumps(mlx_encoder.inspect(folder).to_dict()))
        for tensor in expected["tensors"]:
            del tensor["scheme"]  # words for the other fields
        assert found == expected
    assert mlx_encoder.inspect(converted).diagnosis == "mlx"


def test_verify_passes_and_fails(converted, program):
    found = mlx_encoder.verify(converted)
    assert found.passed and found.texts and not found.failures
    (expected,) = program("verify", converted, "--engine", "cpu")
    assert [t["difference"] for t in expected["texts"]] == [t.difference for t in found.texts]
    weights = pathlib.Path(converted, "model.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 0x40
    weights.write_bytes(content)
    damaged = mlx_encoder.verify(converted)
    assert damaged.verdict == "failed" and any("model.safetensors" in f for f in damaged.failures)


def test_compare_is_the_program_s(tiny, converted, tmp_path, program):
    (tmp_path / "t.txt").write_text("\n".join(TEXTS) + "\n")
    (expected,) = program("compare", tiny("st_mean_norm"), converted, "--texts", tmp_path / "t.txt", "--engine", "cpu", "--no-speed")
    found = mlx_encoder.compare(tiny("st_mean_norm"), converted, TEXTS)
    for key in ("output", "tensors", "layers", "gates", "texts", "tokens", "verdict", "size", "run_mode", "bits"):
        assert found.to_dict()[key] == expected[key], key
    assert found.passed and found.output.cosine == expected["output"]["cosine"]["mean"]
    assert found.markdown.startswith("#") and found.html.startswith("<!")
    with pytest.raises(mlx_encoder.GateError, match="pooled_vector.cosine failed"):
        mlx_encoder.compare(tiny("st_mean_norm"), converted, TEXTS, gate=True, gate_cosine=1.0)
    assert not mlx_encoder.compare(tiny("st_mean_norm"), converted, TEXTS, gate_cosine=1.0).passed
    with pytest.raises(mlx_encoder.FormatError, match="tokenize differently"):
        mlx_encoder.compare(tiny("st_mean_norm"), tiny("mpnet"), TEXTS)


def test_evaluate_is_the_program_s(tiny, converted, tmp_path, program):
    data = tmp_path / "sts.tsv"
    rows = [f"{a}\t{b}\t{i}" for i, (a, b) in enumerate(zip(TEXTS, TEXTS[1:] + TEXTS[:1]))]
    data.write_text("\n".join(["sentence1\tsentence2\tscore", *rows]) + "\n")
    (expected,) = program("evaluate", converted, "--original", tiny("st_mean_norm"), "--task", "similarity", "--data", data,
                          "--engine", "cpu")  # fmt: skip
    found = mlx_encoder.evaluate(converted, data, task="similarity", original=tiny("st_mean_norm"))
    assert found.to_dict()["metrics"] == expected["metrics"] and found.items == 4
    assert found.metrics["spearman"].value == expected["metrics"]["spearman"]["value"]
    with pytest.raises(mlx_encoder.UsageError):
        mlx_encoder.evaluate(converted, data, task="translation")


def test_results_are_values(tiny):
    found = mlx_encoder.inspect(tiny("bert"))
    assert pickle.loads(pickle.dumps(found)) == found
    assert json.loads(json.dumps(found.to_dict()))["components"][0]["component"] == found.components[0].component
    assert repr(found).startswith("Inspection(folder=") and "... 39 in all]" in repr(found)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.bytes = 1
