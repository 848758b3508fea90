"""Calls of one Encoder from 16 threads and an asyncio executor at once: every result has the same bits, and memory stays flat.

    python tools/soak_python.py MODEL [--calls 50000] [--every 5000]

Prints the memory (RssAnon) each time after `--every` calls. It may grow by what an allocator keeps, counted from the first line:
glibc has at most 8 arenas a core and the main one, each with at most M_TRIM_THRESHOLD (128 KiB) free at its end; Python adds
an arena of 1 MiB. Exit status 1: other bits, or more memory. With --keep the results are kept, which must fail."""

import argparse
import asyncio
import concurrent.futures
import os
import pathlib
import re
import sys
import threading

TRIM_THRESHOLD = 128 << 10
THREADS = 16


def resident_bytes() -> int:
    return int(re.search(r"RssAnon:\s+(\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]) << 10


class Soak:
    def __init__(self, encoder, calls: int, every: int, keep: bool):
        self.encoder, self.calls, self.every = encoder, calls, every
        self.inputs = [[f"a {'warm ' * (j % 5)}road" for j in range(i, i + 16)] for i in range(7)]
        self.expected = [encoder.encode(texts).tobytes() for texts in self.inputs]
        self.kept = [] if keep else None
        self.lock, self.begun, self.ended = threading.Lock(), 0, 0
        self.wrong, self.memory = 0, []

    def take(self):
        """The texts of the next call, and what they give; None after the last call."""
        with self.lock:
            if self.begun == self.calls or self.wrong:
                return None
            self.begun += 1
            i = self.begun % len(self.inputs)
        return self.inputs[i], self.expected[i]

    def check(self, vectors, expected):
        with self.lock:
            self.wrong += vectors.tobytes() != expected
            self.ended += 1
            if self.kept is not None:
                self.kept.append(vectors)
            if self.ended % self.every == 0:
                self.memory.append(resident_bytes())
                print(f"{self.ended:8} calls  {self.memory[-1] / 2**20:8.2f} MiB", flush=True)

    def call(self):
        while (work := self.take()) is not None:
            self.check(self.encoder.encode(work[0]), work[1])

    async def call_async(self, pool):
        while (work := self.take()) is not None:
            self.check(await asyncio.get_running_loop().run_in_executor(pool, self.encoder.encode, work[0]), work[1])

    async def run(self):
        threads = [threading.Thread(target=self.call) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            await asyncio.gather(*(self.call_async(pool) for _ in range(THREADS)))
        for thread in threads:
            thread.join()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--calls", type=int, default=50000)
    parser.add_argument("--every", type=int, default=5000)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    if "MALLOC_TRIM_THRESHOLD_" not in os.environ:  # else glibc raises it with the largest block that is freed
        os.environ["MALLOC_TRIM_THRESHOLD_"] = str(TRIM_THRESHOLD)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    from mlx_encoder import Encoder

    soak = Soak(Encoder(options.model), options.calls, options.every, options.keep)
    asyncio.run(soak.run())
    limit = (8 * (os.cpu_count() or 1) + 1) * TRIM_THRESHOLD + (1 << 20)
    growth = max(soak.memory) - soak.memory[0]
    print(f"{soak.ended} calls, {soak.wrong} with other bits; memory grew by {growth / 2**20:.2f} MiB, at most {limit / 2**20:.2f} allowed")
    return int(soak.wrong > 0 or growth > limit)


if __name__ == "__main__":
    sys.exit(main())
