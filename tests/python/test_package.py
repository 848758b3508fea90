"""The installed package: its version, its files, what it links to and what its help says."""

import importlib.metadata
import inspect
import pathlib
import pydoc
import re
import subprocess
import sys

import mlx_encoder
import pytest

PACKAGE = pathlib.Path(mlx_encoder.__file__).parent
ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_the_version_is_that_of_the_build():
    project = re.search(r"project\(mlx_encoder VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
    assert mlx_encoder.__version__ == importlib.metadata.version("mlx-encoder") == project


def test_type_checkers_find_stubs():
    assert (PACKAGE / "py.typed").exists()
    stub = (PACKAGE / "_core.pyi").read_text()
    for name in ("load", "convert", "inspect", "verify", "compare", "evaluate"):
        assert f"def {name}(" in stub


@pytest.mark.skipif(sys.platform != "linux", reason="ldd")
def test_the_module_needs_glibc_and_libstdcxx_alone():
    found = subprocess.run(["ldd", mlx_encoder._core.__file__], capture_output=True, text=True, check=True).stdout
    allowed = ("linux-vdso", "libstdc++", "libm.", "libgcc_s", "libc.", "libpthread", "libdl", "ld-linux", "/lib64/ld-linux")
    names = [line.split()[0] for line in found.splitlines()]
    assert names and [n for n in names if not n.rpartition("/")[2].startswith(allowed)] == []


def test_importing_it_imports_numpy_and_no_other_package():
    code = "import sys, mlx_encoder; print(*{m.split('.')[0] for m in sys.modules} - set(sys.stdlib_module_names))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {m for m in found if not m.startswith("_")} <= {"mlx_encoder", "numpy"}


def test_everything_public_is_documented():
    for name in mlx_encoder.__all__:
        thing = getattr(mlx_encoder, name)
        assert thing.__doc__, name
        if inspect.isclass(thing):
            for member, value in vars(thing).items():
                if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                    assert value.__doc__, f"{name}.{member}"
    text = pydoc.plain(pydoc.render_doc(mlx_encoder.Encoder))
    assert "float32 ``[dimension]`` for a str, ``[texts, dimension]`` else" in text
