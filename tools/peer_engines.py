"""The engines `make bench-peers` compares with: makes their models, and times one of them in this process.

    python tools/peer_engines.py prepare MODELS [MODEL...]            what each engine needs, under MODELS/peers
    python tools/peer_engines.py time ENGINE MODEL MODELS ...         batches of token ids to all token vectors
    python tools/peer_engines.py corpus ENGINE MODEL MODELS ...       texts to mean-pooled vectors of length 1

MODELS is what tools/bench_models.sh made: the folders MiniLM and DistilBERT; or a folder with those that are named. Prints one JSON object; an engine whose
packages or model are missing says so in `missing`.
"""

import argparse
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import time

START = time.time()
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "true"

import numpy as np  # noqa: E402

MODELS = ("MiniLM", "DistilBERT")


# ---- engines: name -> function(folder of models, model, threads) -> run(ids, mask) -> token vectors [B, S, D]

def inputs_of(names, ids, mask):
    every = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    return {name: every[name] for name in names}


def torch_engine(quantized):
    def open_model(models, model, threads):
        import torch
        from transformers import AutoModel

        torch.set_num_threads(threads)
        network = AutoModel.from_pretrained(models / model).eval()
        if quantized:
            network = torch.ao.quantization.quantize_dynamic(network, {torch.nn.Linear}, dtype=torch.qint8)

        def run(ids, mask):
            with torch.inference_mode():
                return network(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask))[0].numpy()
        return run
    return open_model


def onnxruntime_engine(file):
    def open_model(models, model, threads):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        path = models / "peers" / model / file
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        wanted = {i.name: np.int32 if "int32" in i.type else np.int64 for i in session.get_inputs()}

        def run(ids, mask):
            feed = inputs_of(wanted, ids, mask)
            return session.run(None, {name: feed[name].astype(kind, copy=False) for name, kind in wanted.items()})[0]
        return run
    return open_model


def openvino_engine(file, settings):
    def open_model(models, model, threads):
        import openvino

        core = openvino.Core()
        network = core.read_model(models / "peers" / model / file)
        compiled = core.compile_model(network, "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY",
                                                       **settings})
        request, output = compiled.create_infer_request(), compiled.output(0)
        names = [i.get_any_name() for i in compiled.inputs]
        return lambda ids, mask: request.infer(inputs_of(names, ids, mask), share_inputs=True)[output]
    return open_model


def ctranslate2_engine(models, model, threads):
    import ctranslate2

    encoder = ctranslate2.Encoder(str(models / "peers" / model / "ctranslate2"), device="cpu", compute_type="int8",
                                  intra_threads=threads)

    def run(ids, mask):
        rows = [row[:length].tolist() for row, length in zip(ids, mask.sum(1))]
        return np.array(encoder.forward_batch(rows).last_hidden_state)
    return run


def llama_engine(models, model, threads):
    import ctypes

    import llama_cpp as lib

    # A call attends to all its texts' tokens and masks the others': few texts a call are faster than many.
    capacity, rows = 512, 32
    path = models / "peers" / model / "q8_0.gguf"
    if not path.exists():
        raise FileNotFoundError(path)
    quiet = lib.llama_log_callback(lambda *_: None)
    lib.llama_log_set(quiet, ctypes.c_void_p(0))
    lib.llama_backend_init()
    parameters = lib.llama_model_default_params()
    parameters.use_extra_bufts = False  # see NOTES
    network = lib.llama_model_load_from_file(str(path).encode(), parameters)
    settings = lib.llama_context_default_params()
    settings.n_ctx = settings.n_batch = settings.n_ubatch = capacity
    settings.n_seq_max = rows
    settings.n_threads = settings.n_threads_batch = threads
    settings.embeddings = True
    settings.pooling_type = 0  # none: every token's vector
    context = lib.llama_init_from_model(network, settings)
    width = lib.llama_model_n_embd(network)
    batch = lib.llama_batch_init(capacity, 0, 1)

    def call(ids):
        batch.n_tokens = ids.size
        for k, token in enumerate(ids.ravel().tolist()):
            row, position = divmod(k, ids.shape[1])
            batch.token[k], batch.pos[k], batch.n_seq_id[k], batch.logits[k] = token, position, 1, 1
            batch.seq_id[k][0] = row
        start = time.perf_counter()
        if lib.llama_encode(context, batch) != 0:
            raise RuntimeError("llama_encode failed")
        vectors = np.ctypeslib.as_array(lib.llama_get_embeddings(context), (ids.size, width)).copy()
        run.seconds += time.perf_counter() - start  # filling its batch from Python is not its fault
        return vectors.reshape(*ids.shape, width)

    def run(ids, mask):
        run.seconds = 0.0
        at_once = max(1, capacity // ids.shape[1])
        return np.concatenate([call(ids[i:i + at_once]) for i in range(0, len(ids), at_once)])
    run.keep = quiet  # called as long as the library is in use
    return run


ENGINES = {
    "torch fp32": torch_engine(quantized=False),
    "torch int8 dynamic": torch_engine(quantized=True),
    "onnxruntime int8": onnxruntime_engine("int8.onnx"),
    "onnxruntime int8, fused": onnxruntime_engine("fused_int8.onnx"),
    "OpenVINO int8": openvino_engine("int8.xml", {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "64"}),
    "OpenVINO bf16": openvino_engine("float.onnx", {"INFERENCE_PRECISION_HINT": "bf16"}),
    "CTranslate2 int8": ctranslate2_engine,
    "llama.cpp Q8_0": llama_engine,
}

NOTES = {
    "OpenVINO int8": "8-bit weights (nncf), activations quantized in groups of 64 while it runs",
    "onnxruntime int8": "quantized dynamically, weights per channel",
    "onnxruntime int8, fused": "the same after onnxruntime's transformer optimizer",
    "llama.cpp Q8_0": "without extra buffer types: with those llama-cpp-python 0.3.36 crashed on the machine above; the time "
                      "of its C function alone, called for at most 512 tokens at once; Python's filling of its batches is left out",
}


# ---- their models

def export_onnx(source, path):
    import torch
    from transformers import AutoModel

    network = AutoModel.from_pretrained(source, attn_implementation="eager").eval()
    names = ["input_ids", "attention_mask"] + (["token_type_ids"] if network.config.model_type == "bert" else [])

    class Tokens(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, *values):
            return self.network(**dict(zip(names, values)), return_dict=False)[0]

    example = torch.ones((2, 16), dtype=torch.int64)
    axes = {name: {0: "texts", 1: "tokens"} for name in [*names, "vectors"]}
    torch.onnx.export(Tokens(), (example,) * len(names), path, input_names=names, output_names=["vectors"],
                      dynamic_axes=axes, opset_version=17, dynamo=False)


def make_onnx(models, model, out):
    export_onnx(models / model, out / "float.onnx")


def make_onnxruntime(models, model, out):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(out / "float.onnx", out / "int8.onnx", weight_type=QuantType.QInt8, per_channel=True)


def make_onnxruntime_fused(models, model, out):
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer

    config = json.loads((models / model / "config.json").read_text())
    fused = optimizer.optimize_model(str(out / "float.onnx"), model_type="bert",
                                     num_heads=config.get("num_attention_heads") or config["n_heads"],
                                     hidden_size=config.get("hidden_size") or config["dim"])
    fused.save_model_to_file(str(out / "fused.onnx"))
    # Shape inference does not know the fused operators.
    quantize_dynamic(out / "fused.onnx", out / "fused_int8.onnx", weight_type=QuantType.QInt8, per_channel=True,
                     extra_options={"DefaultTensorType": TensorProto.FLOAT})


def make_openvino(models, model, out):
    import nncf
    import openvino

    network = openvino.Core().read_model(out / "float.onnx")
    openvino.save_model(nncf.compress_weights(network, mode=nncf.CompressWeightsMode.INT8_ASYM), out / "int8.xml")


def make_ctranslate2(models, model, out):
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(models / model)).convert(str(out / "ctranslate2"), quantization="int8", force=True)


def make_llama(models, model, out):
    import llama_cpp  # noqa: F401

    converter = pathlib.Path(sys.prefix) / "llama.cpp/convert_hf_to_gguf.py"
    if not converter.exists():
        raise FileNotFoundError(converter)
    # The converter knows tokenizers by what they make of a text; ids are all that is run here.
    source = out / "with_known_tokenizer"
    shutil.copytree(models / model, source, dirs_exist_ok=True)
    for file in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        if (models / "MiniLM" / file).exists():
            shutil.copy(models / "MiniLM" / file, source / file)
    done = subprocess.run([sys.executable, converter, source, "--outtype", "q8_0", "--outfile", out / "q8_0.gguf"],
                          env={**os.environ, "PYTHONPATH": str(converter.parent / "gguf-py")}, capture_output=True, text=True)
    shutil.rmtree(source)
    if done.returncode != 0:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])


STEPS = [("float.onnx", make_onnx), ("int8.onnx", make_onnxruntime), ("fused_int8.onnx", make_onnxruntime_fused),
         ("int8.xml", make_openvino), ("ctranslate2", make_ctranslate2), ("q8_0.gguf", make_llama)]


def prepare(arguments):
    problems = []
    for model in arguments.names or MODELS:
        out = arguments.models / "peers" / model
        out.mkdir(parents=True, exist_ok=True)
        for file, make in STEPS:
            if (out / file).exists() or (arguments.files and file not in arguments.files):
                continue
            try:
                make(arguments.models, model, out)
                print(f"{out / file}", file=sys.stderr)
            except Exception as e:  # an engine that can't be had is named in the report, whatever the reason
                problems.append({"model": model, "file": file, "reason": reason(e)})
    return {"missing": problems}


# ---- measuring

def reason(error):
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}"


def random_ids(texts, tokens):
    ids = np.random.default_rng(0).integers(1000, 20000, (texts, tokens)).astype(np.int64)
    return ids, np.ones_like(ids)


def time_shapes(arguments):
    run = ENGINES[arguments.engine](arguments.models, arguments.model, arguments.threads)
    run(*random_ids(1, 16))
    cold_start = 1000 * (time.time() - arguments.started)
    results = []
    for shape in arguments.shapes.split(","):
        ids, mask = random_ids(*map(int, shape.split("x")))
        begin = time.perf_counter()
        while True:  # warm-up
            run(ids, mask)
            if time.perf_counter() - begin > 0.1 * arguments.seconds:
                break
        times, begin = [], time.perf_counter()
        while len(times) < arguments.least or time.perf_counter() - begin < arguments.seconds:
            start = time.perf_counter()
            run(ids, mask)
            times.append(getattr(run, "seconds", None) or time.perf_counter() - start)
        results.append({"shape": shape, "p50_ms": 1e3 * float(np.median(times)), "min_ms": 1e3 * min(times),
                        "runs": len(times)})
    return {"results": results, "cold_start_ms": cold_start, "peak_bytes": peak_bytes()}


def peak_bytes():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def corpus(arguments):
    os.environ["RAYON_NUM_THREADS"] = str(arguments.threads)
    from tokenizers import Tokenizer

    run = ENGINES[arguments.engine](arguments.models, arguments.model, arguments.threads)
    texts = [json.loads(line)["text"] for line in open(arguments.texts, encoding="utf-8")]
    tokenizer = Tokenizer.from_file(str(arguments.models / arguments.model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)

    def embed(texts):
        rows = [e.ids for e in tokenizer.encode_batch_fast(texts)]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        vectors = None
        for first in range(0, len(order), arguments.batch):
            chosen = order[first:first + arguments.batch]
            ids = np.zeros((len(chosen), max(len(rows[i]) for i in chosen)), np.int64)
            mask = np.zeros_like(ids)
            for k, i in enumerate(chosen):
                ids[k, :len(rows[i])] = rows[i]
                mask[k, :len(rows[i])] = 1
            hidden = run(ids, mask)
            mean = np.einsum("bsd,bs->bd", hidden, mask.astype(np.float32))  # length 1 next: no division by the count
            if vectors is None:
                vectors = np.empty((len(rows), mean.shape[1]), np.float32)
            vectors[chosen] = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        return vectors, sum(map(len, rows))

    embed(texts[:256])
    rates, begin = [], time.perf_counter()
    while not rates or time.perf_counter() - begin < arguments.seconds:
        start = time.perf_counter()
        vectors, tokens = embed(texts)
        rates.append(len(texts) / (time.perf_counter() - start))
    if arguments.out:
        np.save(arguments.out, vectors)
    return {"texts_per_s": float(np.median(rates)), "texts": len(texts), "tokens": tokens, "passes": len(rates)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    prepared = commands.add_parser("prepare")
    prepared.add_argument("models", type=pathlib.Path)
    prepared.add_argument("names", nargs="*", metavar="MODEL")
    prepared.add_argument("--files", nargs="*", help="of all that engines need, these alone, such as int8.onnx")
    prepared.set_defaults(run=prepare)
    for name, run in (("time", time_shapes), ("corpus", corpus)):
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        command.add_argument("engine", choices=ENGINES)
        command.add_argument("model")
        command.add_argument("models", type=pathlib.Path)
        command.add_argument("--threads", type=int, default=2)
        command.add_argument("--seconds", type=float, default=0.5)
        command.add_argument("--least", type=int, default=3, help="timed runs of each shape")
        command.add_argument("--started", type=float, default=START, help="time.time() when the process was started")
        command.add_argument("--shapes", default="1x16,1x128,8x32,32x128")
        command.add_argument("--texts", help="JSON lines")
        command.add_argument("--batch", type=int, default=32)
        command.add_argument("--out", help="where the vectors go")
    arguments = parser.parse_args()
    try:
        result = arguments.run(arguments)
    except Exception as e:
        result = {"missing": reason(e)}
    print("\n" + json.dumps(result))


if __name__ == "__main__":
    main()
