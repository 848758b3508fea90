"""Calls: Ctrl-C, threads, memory, forks, progress, warnings of concurrent calls."""

import pathlib
import subprocess
import sys
import textwrap
import threading

import mlx_encoder
import numpy as np
import pytest
from conftest import ROOT
from mlx_encoder import errors

TEXTS = [f"The road number {i} is long and {'very ' * (i % 7)}warm." for i in range(64)]


def run_python(code, *arguments):
    """Runs code in a process of its own, with `start_timer(seconds)` for a Ctrl-C; returns what it printed."""
    prelude = """
        import os, signal, sys, threading, time
        import mlx_encoder
        # A process in the background is started with SIGINT ignored, and then Python leaves it so.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sent = []
        def press():
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)
        def start_timer(seconds):
            threading.Timer(seconds, press).start()
        """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(prelude) + textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_ctrl_c_ends_a_long_encode_within_0_2_seconds(minilm):
    # Texts for minutes. A poll comes every 0.05 s; the rest is for a busy machine, so the best of three tries counts.
    code = """
        encoder = mlx_encoder.Encoder(sys.argv[1])
        texts = [f"number {i} " + "a road is long and warm " * 40 for i in range(20000)]
        expected = encoder.encode(texts[:4]).tobytes()
        for _ in range(3):
            start_timer(0.5)
            try:
                encoder.encode(texts)
                sys.exit("was not interrupted")
            except KeyboardInterrupt:
                print(time.monotonic() - sent[-1])
            assert encoder.encode(texts[:4]).tobytes() == expected
        """
    delays = [float(d) for d in run_python(code, minilm)]
    assert len(delays) == 3 and min(delays) < 0.2


def test_the_process_may_end_at_once_after_ctrl_c(minilm):
    code = """
        encoder = mlx_encoder.Encoder(sys.argv[1])
        texts = ["a road is long and warm " * 40] * 20000
        start_timer(0.3)
        try:
            encoder.encode(texts)
        except KeyboardInterrupt:
            print("interrupted")
        """
    assert run_python(code, minilm) == ["interrupted"]


def test_ctrl_c_in_convert_leaves_nothing(minilm, tmp_path):
    code = """
        start_timer(1)
        try:
            mlx_encoder.convert(sys.argv[1], sys.argv[2], quantize=True, q_bits=4)
        except KeyboardInterrupt:
            print("interrupted")
        """
    assert run_python(code, minilm, tmp_path / "out") == ["interrupted"]
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == []
    whole = mlx_encoder.convert(minilm, tmp_path / "out", quantize=True)
    assert pathlib.Path(whole.output, "model.safetensors").exists()


def test_a_handler_of_a_signal_runs_during_a_call(minilm):
    code = """
        seen = []
        signal.signal(signal.SIGINT, lambda *_: seen.append(time.monotonic()))
        encoder = mlx_encoder.Encoder(sys.argv[1])
        start_timer(0.1)
        encoder.encode(["a road is long and warm " * 40] * 40)
        end = time.monotonic()
        assert len(seen) == 1 and seen[0] < end
        print("seen")
        """
    assert run_python(code, minilm) == ["seen"]


def test_sixteen_threads_give_the_same_bits(load):
    encoder = load("st_mean_norm")
    expected = encoder.encode(TEXTS).tobytes()
    found = [None] * 16

    def work(i):
        found[i] = {encoder.encode(TEXTS).tobytes() for _ in range(20)}

    threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found == [{expected}] * 16


def test_other_python_threads_run_during_a_call(load):
    encoder = load("st_mean_norm")
    many = TEXTS * 500
    ended = threading.Event()

    def work():
        encoder.encode(many)
        ended.set()

    thread = threading.Thread(target=work)
    count = 0
    thread.start()
    while not ended.is_set():
        count += 1
    thread.join()
    # A thread that had to wait for the GIL until the call ends would count a few.
    assert count > 1000


def test_warnings_of_concurrent_calls_do_not_mix(load, monkeypatch):
    encoder = load("st_mean_norm")
    told = {}
    together = threading.Barrier(16)  # threads that live at the same time have different identities
    monkeypatch.setattr(errors, "warn", lambda sentence: told.setdefault(threading.get_ident(), []).append(sentence))
    expected = {}

    def work(i):
        texts = ["short"] * 16
        texts[i] = "the road " * 40
        expected[threading.get_ident()] = f"text {i + 1}: truncated"
        together.wait()
        for _ in range(10):
            encoder.encode(texts)
        together.wait()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert told.keys() == expected.keys()
    for thread, sentences in told.items():
        assert len(sentences) == 10 and all(s.startswith(expected[thread]) for s in sentences)


def resident_bytes():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize("keep", [False, True])
def test_memory_stays_flat_over_calls(keep, load):
    encoder = load("st_mean_norm")
    kept = []
    for _ in range(100):
        encoder.encode(TEXTS)
    before = resident_bytes()
    for _ in range(800):
        kept.append(encoder.encode(TEXTS))
        if not keep:
            kept.clear()
    # 800 results of 8 KiB are 6.25 MiB.
    assert (resident_bytes() - before > 3 << 20) == keep


@pytest.mark.parametrize("keep", [False, True])
def test_threads_and_an_asyncio_executor_at_once(keep, tiny):
    # 50,000 calls: tools/soak_python.py as it is.
    command = [sys.executable, ROOT / "tools/soak_python.py", tiny("st_mean_norm"), "--calls", "4000", "--every", "1000"]
    done = subprocess.run([*command, *(["--keep"] if keep else [])], capture_output=True, text=True)
    assert "4000 calls, 0 with other bits" in done.stdout, done.stderr
    assert done.returncode == keep, done.stdout


def test_a_forked_process_may_use_the_encoder(tiny):
    code = """
        encoder = mlx_encoder.Encoder(sys.argv[1])
        expected = encoder.encode(["a road", "a house"]).tobytes()
        child = os.fork()
        if child == 0:
            os._exit(0 if encoder.encode(["a road", "a house"]).tobytes() == expected else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    assert run_python(code, tiny("st_mean_norm")) == ["0"]


def test_progress_bars_are_tqdm_s(load, capsys, monkeypatch):
    encoder = load("st_mean_norm")
    plain = encoder.encode(TEXTS)
    assert capsys.readouterr().err == ""
    assert np.array_equal(encoder.encode(TEXTS, show_progress_bar=True), plain)
    assert "64/64" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.warns(mlx_encoder.EncoderWarning, match="tqdm is not installed"):
        encoder.encode(TEXTS, show_progress_bar=True)


def test_an_error_of_the_progress_bar_ends_the_call(load):
    def fail(stage, done, total):
        raise RuntimeError("no terminal")

    with pytest.raises(RuntimeError, match="no terminal"):
        load("st_mean_norm")._model.encode(TEXTS, "", None, "", 0, False, fail)
    assert load("st_mean_norm").encode(TEXTS).shape == (64, 32)
