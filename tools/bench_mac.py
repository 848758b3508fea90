"""The mission's table on a Mac: mlx engine at 8 and 4 bits against transformers in float32 on MPS.

    python tools/bench_mac.py PROGRAM ORIGINAL EIGHT_BITS FOUR_BITS

Each model runs in a process of its own, one after another: latency of one text (median of 200), throughput of batches of
32, peak memory. Wanted: 2-3x at 8 bits, 3-5x at 4, under 10 ms a text, a quarter of the memory. Untested: written on Linux.
"""

import json
import multiprocessing
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import time

TEXT = "The train to the coast leaves at a quarter past nine from platform two."
SINGLES, BATCHES, BATCH = 200, 40, 32


def transformers_on_mps(folder, queue):
    import torch
    from transformers import AutoModel, AutoTokenizer

    device = torch.device("mps")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).to(device).eval()

    def run(texts):
        batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt").to(device)
        with torch.no_grad():
            model(**batch).last_hidden_state.mean(1).cpu()

    for _ in range(20):
        run([TEXT])
    single = []
    for _ in range(SINGLES):
        begin = time.perf_counter()
        run([TEXT])
        single.append(1e3 * (time.perf_counter() - begin))
    run([TEXT] * BATCH)
    begin = time.perf_counter()
    for _ in range(BATCHES):
        run([TEXT] * BATCH)
    rate = BATCHES * BATCH / (time.perf_counter() - begin)
    # macOS counts ru_maxrss in bytes; MPS buffers come on top.
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + torch.mps.driver_allocated_memory()
    queue.put({"p50_ms": statistics.median(single), "texts_per_second": rate, "peak_bytes": memory})


def mlx_engine(program, folder):
    texts = "".join(json.dumps(TEXT) + "\n" for _ in range(SINGLES))
    output = subprocess.run([program, "measure", folder, "--engine", "mlx", "--texts", "-", "--input-format", "jsonl"],
                            input=texts, capture_output=True, text=True, check=True).stdout
    measured = json.loads(output)
    return {"p50_ms": measured["latency_ms"]["p50"], "texts_per_second": measured["throughput"]["texts_per_second"],
            "peak_bytes": measured["memory"]["peak_bytes"]}


def main(program, original, eight, four):
    multiprocessing.set_start_method("spawn")
    queue = multiprocessing.Queue()
    process = multiprocessing.Process(target=transformers_on_mps, args=(original, queue))
    process.start()
    rows = {"transformers float32, MPS": queue.get()}
    process.join()
    rows["mlx-encoder 8-bit, mlx"] = mlx_engine(program, eight)
    rows["mlx-encoder 4-bit, mlx"] = mlx_engine(program, four)
    base = rows["transformers float32, MPS"]
    print(f"{'':28} {'ms a text':>10} {'speed-up':>9} {'texts/s':>9} {'speed-up':>9} {'memory MB':>10} {'share':>6}")
    for name, r in rows.items():
        print(f"{name:28} {r['p50_ms']:10.2f} {base['p50_ms'] / r['p50_ms']:9.2f} {r['texts_per_second']:9.0f} "
              f"{r['texts_per_second'] / base['texts_per_second']:9.2f} {r['peak_bytes'] / 1e6:10.0f} "
              f"{r['peak_bytes'] / base['peak_bytes']:6.2f}")
    pathlib.Path("reports/bench-mac.json").write_text(
        json.dumps({"machine": platform.platform(), "python": sys.version, "results": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
