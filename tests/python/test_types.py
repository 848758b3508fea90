"""A type checker accepts the package, and what it says of calls."""

import pathlib
import re
import subprocess
import sys

import mlx_encoder

PACKAGE = pathlib.Path(mlx_encoder.__file__).parent
ROOT = pathlib.Path(__file__).resolve().parents[2]

CALLS = {
    'encoder.classify("a")': "mlx_encoder.results.Classification",
    'encoder.classify(["a", ("a", "b")])': "list[mlx_encoder.results.Classification]",
    'encoder.tag("a")': "list[mlx_encoder.results.Entity]",
    'encoder.tokenize(["a"])': "list[mlx_encoder.results.Tokens]",
    'convert("a").files': "dict[str, int]",
    'inspect("a").components[0].bytes': "int",
    'compare("a", "b", ["c"]).output.cosine': "float",
}


def mypy(tmp_path, *arguments):
    command = [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", "--cache-dir", tmp_path / "cache"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, cwd=tmp_path)


def test_the_package_and_its_calls_have_types(tmp_path):
    program = tmp_path / "program.py"
    lines = ["from mlx_encoder import Encoder, compare, convert, inspect", 'encoder = Encoder("a")']
    program.write_text("\n".join([*lines, *(f"reveal_type({call})" for call in CALLS)]) + "\n")
    found = mypy(tmp_path, "-p", "mlx_encoder")
    assert found.returncode == 0, found.stdout
    found = mypy(tmp_path, program)
    assert re.findall('Revealed type is "(.*)"', found.stdout) == list(CALLS.values()), found.stdout
    program.write_text("\n".join([*lines, "encoder.classify(3)", "encoder.encode(batchsize=3)"]) + "\n")
    found = mypy(tmp_path, program)
    assert "No overload variant" in found.stdout and "batchsize" in found.stdout
