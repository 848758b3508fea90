#!/usr/bin/env python3
"""Fails when a kernel has become much slower than at the commit this work started from.

    tools/bench_guard.py [--base COMMIT] [--out FOLDER]

Builds bench_kernels of this working tree and of the base (the merge base with main; on main the commit before), the base with
this tree's benchmark where that compiles there, and runs both in turns on one core. A kernel fails when the least time of a
round's runs exceeds the base's by THRESHOLD in each of ROUNDS rounds: noise would have to hit one of the two in every run of
every round. Where instructions can be counted, one that executes THRESHOLD times as many fails from COUNTED on: counts have no noise,
but more instructions may be the faster way. What can't be compared (no such commit in a shallow clone, a base without the benchmark, no kernel touched) is
said in a line, and passes.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys

THRESHOLD = 1.35
COUNTED = 1.1
ROUNDS = 3
TURNS = 4  # of both programs in a round
VARIANTS = [None, "avx2"]  # the best one here, and what most machines without AVX-512 run
WATCHED = ["src/kernels", "src/base/cpu_features.cpp", "CMakeLists.txt"]
BENCH = "tests/bench"
ROOT = pathlib.Path(__file__).resolve().parent.parent


class Skipped(Exception):
    pass


def git(*arguments: str) -> str | None:
    done = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def find_base() -> str:
    head = git("rev-parse", "HEAD")
    for main in ("origin/main", "main"):
        base = git("merge-base", "HEAD", main)
        if base and base != head:
            return base
    before = git("rev-parse", "--verify", "--quiet", "HEAD~1^{commit}")
    if not before:
        raise Skipped("the commit before is not here (a shallow clone?)")
    return before


def unpack(base: str, folder: pathlib.Path) -> None:
    """Files as of now (-m), not of the commit: an older one than what was built of another base would not be built again."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    archive = subprocess.run(["git", "-C", ROOT, "archive", base], stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["tar", "-x", "-m", "-C", folder], input=archive, check=True)


def build(source: pathlib.Path, out: pathlib.Path) -> str | None:
    """The reason it failed, or None."""
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DMLXE_WITH_RUST=OFF", "-DMLXE_WITH_MLX=OFF", "-DMLXE_BUILD_TESTS=OFF"]
    for command in (["cmake", "-S", source, "-B", out, "-G", "Ninja", "-Wno-dev", *options],
                    ["cmake", "--build", out, "--target", "bench_kernels"]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            return done.stdout[-3000:]
    return None


def build_base(source: pathlib.Path, out: pathlib.Path) -> None:
    if "bench_kernels" not in (source / "CMakeLists.txt").read_text():
        raise Skipped("the base has no bench_kernels")
    own = source / "own_bench"
    shutil.move(source / BENCH, own)
    shutil.copytree(ROOT / BENCH, source / BENCH)
    if build(source, out) is None:
        return
    shutil.rmtree(source / BENCH)
    shutil.move(own, source / BENCH)
    if build(source, out) is not None:
        raise Skipped("the base's bench_kernels does not build here")


def measure(program: pathlib.Path, variant: str | None, core: int) -> dict[str, dict] | None:
    """What bench_kernels says of each kernel; None where the variant does not run here."""
    environment = {k: v for k, v in os.environ.items() if k != "MLXE_CPU"} | ({"MLXE_CPU": variant} if variant else {})
    pin = (lambda: os.sched_setaffinity(0, {core})) if hasattr(os, "sched_setaffinity") else None
    done = subprocess.run([program, "--json", "--seconds", "0.01"], capture_output=True, text=True, env=environment, preexec_fn=pin)
    if done.returncode != 0:
        if variant is None:
            sys.exit(f"bench-guard: {program}: {done.stderr}")
        return None
    return {f"{r['kernel']} {r['shape']}": r for r in json.loads(done.stdout)["results"]}


def one_round(programs: dict[str, pathlib.Path], variant: str | None, core: int) -> dict[str, tuple[float, float | None]] | None:
    """This tree's least time over the base's, of each kernel both have, and the same of instructions if counted."""
    least: dict[str, dict[str, dict]] = {which: {} for which in programs}
    for turn in range(TURNS):
        for which in sorted(programs, reverse=turn % 2 == 1):
            measured = measure(programs[which], variant, core)
            if measured is None:
                return None
            for kernel, result in measured.items():
                least[which][kernel] = min(result, least[which].get(kernel, result), key=lambda r: r["min_us"])
    ratios = {}
    for kernel in least["this"].keys() & least["base"].keys():
        this, base = least["this"][kernel], least["base"][kernel]
        counted = this.get("instructions") and base.get("instructions")
        ratios[kernel] = (this["min_us"] / base["min_us"], this["instructions"] / base["instructions"] if counted else None)
    return ratios


def too_slow(time: float, instructions: float | None) -> bool:
    return time > (COUNTED if instructions is not None and instructions > THRESHOLD else THRESHOLD)


def compare(programs: dict[str, pathlib.Path], variant: str | None, core: int) -> list[str]:
    called = variant or "the best variant"
    ratios = [one_round(programs, variant, core)]
    if ratios[0] is None:
        print(f"bench-guard: {called} does not run here")
        return []
    slow = {k for k, r in ratios[0].items() if too_slow(*r)}
    while slow and len(ratios) < ROUNDS:
        ratios.append(one_round(programs, variant, core))
        slow = {k for k in slow if too_slow(*ratios[-1][k])}
    times = {k: time for k, (time, _) in ratios[0].items()}
    worst = max(times, key=times.get)
    counted = any(instructions is not None for _, instructions in ratios[0].values())
    print(f"bench-guard: {called}: {len(times)} kernels in {len(ratios)} round{'s' * (len(ratios) > 1)}; this tree's time over the "
          f"base's is {min(times.values()):.2f} to {times[worst]:.2f} ({worst}) in the first; instructions "
          f"{'counted' if counted else 'can not be counted here'}")
    return [f"{called}: {k}: " + ", ".join(f"{r[k][0]:.2f}" for r in ratios) + " times the base's time" +
            (f", {ratios[0][k][1]:.2f} times its instructions" if ratios[0][k][1] is not None else "") for k in sorted(slow)]


def guard(base: str | None, out: pathlib.Path) -> int:
    if git("rev-parse", "HEAD") is None:
        raise Skipped("not a git checkout")
    commit = git("rev-parse", "--verify", "--quiet", f"{base}^{{commit}}") if base else find_base()
    if commit is None:
        raise Skipped(f"{base} is no commit here")
    if subprocess.run(["git", "-C", ROOT, "diff", "--quiet", commit, "--", *WATCHED]).returncode == 0:
        raise Skipped(f"the kernels are those of {commit[:10]}")
    unpack(commit, out / "base")
    build_base(out / "base", out / "base-build")
    if (reason := build(ROOT, out / "this-build")) is not None:
        sys.exit(f"bench-guard: this tree's bench_kernels does not build\n{reason}")
    programs = {"base": out / "base-build/bench_kernels", "this": out / "this-build/bench_kernels"}
    core = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    print(f"bench-guard: against {commit[:10]}")
    slower = [line for variant in VARIANTS for line in compare(programs, variant, core)]
    print("\n".join(f"SLOWER {line}" for line in slower) or f"bench-guard: no kernel is {THRESHOLD} times slower")
    return 1 if slower else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", help="a commit; without, the merge base with main, or on main the commit before")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/guard", help="where to build")
    arguments = parser.parse_args()
    try:
        return guard(arguments.base, arguments.out.resolve())
    except Skipped as why:
        print(f"bench-guard: skipped: {why}")
        return 0


if __name__ == "__main__":
    sys.exit(main())
