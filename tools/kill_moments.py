"""Kills conversions at random moments and checks that nothing is lost: the target is absent, as it was, or whole, and the
next run succeeds with the bytes of an undisturbed one and, if it writes, leaves nothing beside them.

    tools/kill_moments.py build/release/mlx-encoder tests/data/tiny/st_dense [--moments 300] [--seed 1]

The moments are shared among a plain conversion, one that calibrates, and both over a model that is there (--force)."""

import argparse
import collections
import hashlib
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

OLD = ["-q", "--q-group-size", "32", "--q-bits", "6"]
NEW = {"convert": ["-q", "--q-group-size", "32"], "calibrate": ["-q", "--q-group-size", "32", "--q-bits", "4", "--calibrate", "default"]}


def contents(folder: pathlib.Path) -> dict[str, str] | None:
    if not folder.exists():
        return None
    files = sorted(f for f in folder.rglob("*") if f.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


class Scene:
    """One kind of conversion, with the folders an undisturbed run gives and takes."""

    def __init__(self, program: str, model: str, kind: str, replace: bool, scratch: pathlib.Path):
        self.name = f"{kind}{' --force' if replace else ''}"
        self.folder = scratch / self.name.replace(" ", "")
        self.folder.mkdir()
        self.out = self.folder / "out"
        self.command = [program, "convert", model, "--mlx-path", str(self.out), *NEW[kind], *(["--force"] if replace else [])]
        self.old = None
        if replace:
            self.kept = scratch / f"{self.name}.old"
            subprocess.run([program, "convert", model, "--mlx-path", str(self.kept), *OLD], check=True, capture_output=True)
            self.old = contents(self.kept)
        self.reset()
        self.seconds, _ = self.run()
        self.new = contents(self.out)

    def reset(self):
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        if self.old is not None:
            shutil.copytree(self.kept, self.out)

    def run(self):
        start = time.monotonic()
        done = subprocess.run(self.command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{self.name}: status {done.returncode}: {done.stderr}")
        return time.monotonic() - start, done

    def moment(self, after: float) -> str:
        self.reset()
        running = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(after)
        running.send_signal(signal.SIGKILL)
        killed = running.wait() == -signal.SIGKILL
        found = contents(self.out)
        if found not in (self.old, self.new):
            raise SystemExit(f"{self.name}, killed after {after:.4f} s: the target is half written: {sorted(found or {})}")
        hidden = [f.name for f in self.folder.iterdir() if f.name != "out"]
        self.run()
        if contents(self.out) != self.new:
            raise SystemExit(f"{self.name}, killed after {after:.4f} s: the next run gives other bytes")
        # A run that finds the conversion done writes nothing and takes nothing away.
        expected = {"out", ".out.lock", ".out.calibration"} if found == self.new else {"out"}
        if left := [f.name for f in self.folder.iterdir() if f.name not in expected]:
            raise SystemExit(f"{self.name}, killed after {after:.4f} s: the next run leaves {left}")
        if not killed:
            return "over before it was killed"
        state = "new" if found == self.new else "old" if found else "absent"
        return f"target {state}{', steps to go on from' if any(f.endswith('.calibration') for f in hidden) else ''}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--moments", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="kill-moments-") as scratch:
        scenes = [Scene(options.program, options.model, kind, replace, pathlib.Path(scratch))
                  for kind in NEW for replace in (False, True)]
        counts = {scene.name: collections.Counter() for scene in scenes}
        for i in range(options.moments):
            scene = scenes[i % len(scenes)]
            counts[scene.name][scene.moment(chance.uniform(0, 1.05 * scene.seconds))] += 1
        for scene in scenes:
            print(f"{scene.name} ({scene.seconds:.3f} s): " + "; ".join(f"{n} {what}" for what, n in counts[scene.name].most_common()))
        print(f"{options.moments} moments: no target half written, every next run succeeded")
    return 0


if __name__ == "__main__":
    sys.exit(main())
