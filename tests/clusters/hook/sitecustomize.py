"""Every Python with this folder in PYTHONPATH imports it: the first process that comes to its second batch is killed, or its
parents are. The folder MLXE_TEST_CALLS gets a file for each process that embeds: its size is the number of batches. `killed` holds the
killed one's command."""

import os
import pathlib
import signal

_calls = pathlib.Path(os.environ["MLXE_TEST_CALLS"])


def _parent(process: int) -> int:
    return int(pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def _kill_one() -> None:
    victim = os.getpid()
    for _ in range(int(os.environ["MLXE_TEST_PARENTS"])):
        victim = _parent(victim)
    try:
        with open(_calls / "killed", "x") as file:
            file.write(pathlib.Path(f"/proc/{victim}/cmdline").read_text().replace("\0", " "))
    except FileExistsError:
        return
    os.kill(victim, signal.SIGKILL)


def _watch() -> None:
    import mlx_encoder

    encode = mlx_encoder.Encoder.encode

    def watched(self, *arguments, **named):
        vectors = encode(self, *arguments, **named)
        with open(_calls / str(os.getpid()), "a") as file:
            file.write(".")
            if file.tell() == 2:
                _kill_one()
        return vectors

    mlx_encoder.Encoder.encode = watched


_watch()
