"""Writes the seed inputs of the fuzzers into tests/fuzz/corpus, from the goldens of tests/data.

    python3 tools/make_fuzz_corpus.py
"""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
CORPUS = ROOT / "tests" / "fuzz" / "corpus"


def put(target: str, name: str, content: bytes | str) -> None:
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def header(tensors: dict, metadata: dict | None = None) -> tuple[str, int]:
    """The header text and the number of data bytes of tensors given as name -> (dtype, shape)."""
    sizes = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "U32": 4, "I8": 1, "U8": 1, "BOOL": 1}
    entries: dict = {"__metadata__": metadata} if metadata else {}
    offset = 0
    for name, (dtype, shape) in tensors.items():
        size = sizes[dtype]
        for d in shape:
            size *= d
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    return json.dumps(entries, separators=(",", ":")), offset


def safetensors() -> None:
    golden = (DATA / "safetensors" / "all_dtypes.safetensors").read_bytes()
    put("safetensors", "all_dtypes", golden)
    put("safetensors", "truncated", golden[:700])
    put("safetensors", "mlx", (DATA / "checkpoints" / "mlx_mixed" / "model.safetensors").read_bytes())
    put("safetensors", "huge_length", b"\xff" * 8 + b"{}")
    for name, tensors in {
        "plain": {"a": ("F32", [2, 3]), "b": ("BF16", [4])},
        "scalar": {"s": ("F64", [])},
        "empty": {"e": ("F16", [0, 7]), "x": ("U8", [3])},
    }.items():
        text, size = header(tensors, {"format": "mlx"})
        put("safetensors", name, text.encode() + bytes([size]))
    put("safetensors", "overlap", b'{"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},'
        b'"b":{"dtype":"I8","shape":[2],"data_offsets":[1,3]}}\x03')
    put("safetensors", "twice", b'{"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},'
        b'"a":{"dtype":"I8","shape":[1],"data_offsets":[1,2]}}\x02')
    put("safetensors", "overflow", b'{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}\x00')


def torch() -> None:
    for name in ["zip2", "zip4", "zip64", "legacy2", "legacy5", "unsigned", "refused_checkpoint", "refused_compressed"]:
        put("torch", name, (DATA / "torch" / f"{name}.bin").read_bytes())
    put("torch", "truncated", (DATA / "torch" / "legacy2.bin").read_bytes()[:900])

    def entry(shape: bytes, strides: bytes, function: bytes = b"_rebuild_tensor_v2", storage: bytes = b"FloatStorage") -> bytes:
        """The state dict {"a": a tensor}, over the fuzzer's storage of 8 elements."""
        return (b"\x80\x02}U\x01actorch._utils\n" + function + b"\n((U\x07storagectorch\n" + storage
                + b"\nU\x010U\x03cpuK\x08NtQK\x00" + shape + strides + b"\x89NtRs.")

    put("torch", "state", entry(b"K\x02K\x04\x86", b"K\x04K\x01\x86"))
    put("torch", "transposed", entry(b"K\x04K\x02\x86", b"K\x01K\x04\x86"))
    put("torch", "expanded", entry(b"M\xff\xffJ\xff\xff\x00\x00\x86", b"K\x00K\x00\x86"))
    put("torch", "double", entry(b"K\x04\x85", b"K\x01\x85", storage=b"DoubleStorage"))
    put("torch", "system", b"\x80\x02cos\nsystem\nU\x02ls\x85R.")
    put("torch", "stack_global", b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02ls\x85R.")
    put("torch", "inst", b"\x80\x02(U\x02lsios\nsystem\n.")


def npz() -> None:
    for name in ["numpy", "numpy2", "mlx", "refused_records", "refused_compressed"]:
        put("npz", name, (DATA / "npz" / f"{name}.npz").read_bytes())

    def member(descr: str, shape: str, fortran: bool, data: bytes, version: int = 1) -> bytes:
        header = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n".encode()
        return b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(2 if version == 1 else 4, "little") + header + data

    put("npz", "floats", member("'<f4'", "(2, 3)", False, bytes(24)))
    put("npz", "fortran", member("'<V2'", "(2, 1, 3)", True, bytes(range(12))))
    put("npz", "scalar", member("'|b1'", "()", False, b"\1", 3))
    put("npz", "fields", member("[('a', '<f4')]", "(1,)", False, bytes(4), 2))
    put("npz", "overflow", member("'<f8'", "(4294967296, 4294967296)", True, b""))


def adapter() -> None:
    def seed(name: str, config: dict, tensors: dict) -> None:
        text, size = header(tensors)
        put("adapter", name, json.dumps(config).encode() + b"\0" + text.encode() + bytes([size]))

    lora = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q"]}
    matrices = {"base_model.model.bert.q.lora_A.weight": ("F32", [2, 3]), "base_model.model.bert.q.lora_B.weight": ("F16", [2, 2])}
    seed("lora", lora, matrices)
    seed("dora", lora | {"use_dora": True}, matrices | {"base_model.model.bert.q.lora_magnitude_vector": ("F32", [2])})
    seed("embedding", lora, {"base_model.model.q.lora_embedding_A": ("F32", [2, 2]),
                             "base_model.model.q.lora_embedding_B": ("BF16", [3, 2])})
    seed("bias", lora | {"bias": "all", "lora_bias": True},
         matrices | {"base_model.model.bert.q.base_layer.bias": ("F32", [2]), "base_model.model.bert.q.lora_B.bias": ("F32", [2])})
    seed("head", lora | {"task_type": "SEQ_CLS", "modules_to_save": ["classifier"], "rank_pattern": {"^bert\\.q$": 2}},
         {"base_model.model.classifier.weight": ("F32", [3, 2])})
    seed("mlx", {"fine_tune_type": "lora", "lora_parameters": {"rank": 2, "scale": 2.0}},
         {"q.lora_a": ("F32", [3, 2]), "q.lora_b": ("F32", [2, 2])})
    seed("refused", lora | {"use_qalora": True}, matrices)


def gguf() -> None:
    """Vocabularies and a few tensors: the fuzzer's inputs are short. Those without a head are behind the fuzzer's own."""
    def text(value: bytes) -> bytes:
        return len(value).to_bytes(8, "little") + value

    def key(name: bytes, kind: int, value: bytes) -> bytes:
        return text(name) + kind.to_bytes(4, "little") + value

    def number(name: bytes, value: int) -> bytes:
        return key(name, 4, value.to_bytes(4, "little"))

    def texts(name: bytes, values: list[bytes]) -> bytes:
        return key(name, 9, (8).to_bytes(4, "little") + len(values).to_bytes(8, "little") + b"".join(map(text, values)))

    def tensor(name: bytes, dimensions: list[int], kind: int, offset: int) -> bytes:
        sizes = b"".join(d.to_bytes(8, "little") for d in dimensions)
        return (text(name) + len(dimensions).to_bytes(4, "little") + sizes + kind.to_bytes(4, "little")
                + offset.to_bytes(8, "little"))

    bert = [key(b"general.architecture", 8, text(b"bert")), number(b"bert.block_count", 1),
            number(b"bert.embedding_length", 8), number(b"bert.feed_forward_length", 8),
            number(b"bert.attention.head_count", 2), number(b"bert.context_length", 4),
            key(b"bert.attention.layer_norm_epsilon", 6, b"\xcc\xbc\x8c\x2b")]
    wordpiece = [key(b"tokenizer.ggml.model", 8, text(b"bert")),
                 texts(b"tokenizer.ggml.tokens", [b"[PAD]", b"[UNK]", b"[CLS]", b"[SEP]", "\u2581a".encode(), b"b"])]
    tensors = [tensor(b"token_embd.weight", [8, 6], 0, 0), tensor(b"position_embd.weight", [8, 4], 1, 192),
               tensor(b"blk.0.attn_qkv.weight", [32, 6], 8, 256)]
    data = bytes(512)
    put("gguf", "bert", bytes([len(tensors), len(bert + wordpiece)]) + b"".join(bert + wordpiece + tensors) + data)
    put("gguf", "unigram", bytes([0, len(bert) + 2]) + b"".join(bert)
        + key(b"tokenizer.ggml.model", 8, text(b"t5")) + texts(b"tokenizer.ggml.tokens", [b"<s>", b"</s>", b"<unk>", b"a"]))
    for name in ["types", "vocabulary_bert_cased"]:
        put("gguf", name, (DATA / "gguf" / f"{name}.gguf").read_bytes()[:16000])


def onnx() -> None:
    def field(tag: int, value) -> bytes:
        def number(n: int) -> bytes:
            return bytes([n & 127 | 128]) + number(n >> 7) if n > 127 else bytes([n])
        if isinstance(value, int):
            return number(tag << 3) + number(value)
        value = value.encode() if isinstance(value, str) else value
        return number(tag << 3 | 2) + number(len(value)) + value

    def tensor(name: str, dims: list, kind: int, raw: bytes, rest: bytes = b"") -> bytes:
        return field(5, b"".join(field(1, d) for d in dims) + field(2, kind) + field(8, name) + (field(9, raw) if raw else b"") + rest)

    def node(op: str, name: str, inputs: list, output: str, **ints) -> bytes:
        attributes = b"".join(field(5, field(1, key) + field(3, value)) for key, value in ints.items())
        return field(1, b"".join(field(1, i) for i in inputs) + field(2, output) + field(3, name) + field(4, op) + attributes)

    floats = bytes(range(64))
    graphs = {
        "float": node("MatMul", "/a/MatMul", ["x", "onnx::MatMul_1"], "y") + node("Add", "", ["a.bias", "y"], "z")
        + tensor("onnx::MatMul_1", [4, 4], 1, floats) + tensor("a.bias", [4], 1, floats[:16]),
        "integer": node("MatMulInteger", "/a/MatMul", ["x", "c", "xz", "z"], "y") + node("Cast", "", ["y"], "y1", to=1)
        + node("Mul", "", ["xs", "s"], "s1") + node("Mul", "", ["y1", "s1"], "y2")
        + tensor("c", [4, 4], 3, floats[:16]) + tensor("z", [4], 3, b"", field(5, b"\1\2\3\4")) + tensor("s", [4], 1, floats[:16]),
        "dequantize": node("DequantizeLinear", "", ["c", "s", "z"], "d", axis=0, block_size=2)
        + node("Transpose", "", ["d"], "t") + node("Gemm", "/a/Gemm", ["x", "t", "a.bias"], "y", transB=1)
        + tensor("c", [4, 2], 21, floats[:4]) + tensor("z", [2, 2], 21, b"\1\2") + tensor("s", [2, 2], 1, floats[:16]),
        "blocks": node("MatMulNBits", "/a/MatMul", ["x", "c", "s", "z"], "y", K=32, N=2, bits=4, block_size=16)
        + node("GatherBlockQuantized", "/b/Gather", ["e", "i", "es"], "w", block_size=16)
        + tensor("c", [2, 2, 8], 2, floats[:32]) + tensor("s", [4], 1, floats[:16]) + tensor("z", [2], 2, b"\1\2")
        + tensor("e", [2, 16], 21, floats[:16]) + tensor("es", [2, 1], 1, floats[:8]),
        "external": tensor("a.weight", [2], 1, b"", field(14, 1) + field(13, field(1, "location") + field(2, "../x"))),
        "attention": node("Attention", "Attention_0", ["x", "w", "b"], "y") + tensor("w", [4, 4], 1, floats),
    }
    for name, graph in graphs.items():
        put("onnx", name, graph)
        put("onnx", f"{name}_model", field(1, 8) + field(7, graph))


CONFIGS = {
    "bert": {"model_type": "bert", "hidden_size": 384, "num_hidden_layers": 6, "layer_norm_eps": 1e-12,
             "hidden_act": "gelu", "architectures": ["BertModel"], "position_embedding_type": "absolute"},
    "classifier": {"model_type": "distilbert", "dim": 64, "id2label": {"0": "no", "1": "yes"},
                   "label2id": {"no": 0, "yes": 1}, "problem_type": "single_label_classification"},
    "labels": {"num_labels": 3, "pruned_heads": {"1": [0, 2]}, "is_decoder": True},
    "quantized": {"quantization": {"group_size": 64, "bits": 4, "mode": "affine", "q": {"bits": 8}, "c": False}},
    "hub": {"quantization_config": {"quant_method": "gptq", "bits": 4}},
    "mxfp4": {"quantization": {"mode": "mxfp4"}, "mlx_encoder": {"scheme": "int8", "version": 1}},
    "numbers": {"a": -1, "b": 18446744073709551615, "c": 1.5e308, "d": None, "e": True, "f": 1e-400},
}


def config() -> None:
    for name, value in CONFIGS.items():
        put("config", name, json.dumps(value))
    put("config", "truncated", '{"hidden_size": 38')
    put("config", "not_utf8", b'{"a": "\xe9"}')
    put("config", "deep", "[" * 80)
    put("config", "twice", '{"a": 1, "a": 2}')


def index() -> None:
    put("index", "sharded", (DATA / "checkpoints" / "sharded" / "model.safetensors.index.json").read_bytes())
    put("index", "escape", '{"weight_map": {"a": "../x.safetensors"}}')
    put("index", "zero", '{"weight_map": {"a": "x\\u0000y.safetensors"}}')
    put("index", "types", '{"weight_map": {"a": 1}, "metadata": {"total_size": 1}}')
    put("index", "empty", '{"weight_map": {}}')
    put("index", "list", "[]")
    put("index", "extension_only", '{"weight_map":{"a":".safetensors"}}')


def folder() -> None:
    saved = DATA / "sentence" / "saved"
    sentence = [(saved / name).read_text() for name in
                ["modules.json", "sentence_bert_config.json", "1_Pooling/config.json", "2_Dense/config.json"]]

    def seed(name: str, config: dict, tensors: dict, index_text: str = "", sentence_parts=("", "", "", "")) -> None:
        text, size = header(tensors)
        assert size < 256
        parts = [json.dumps(config), index_text, *sentence_parts, text]
        put("folder", name, b"\0".join(part.encode() for part in parts) + bytes([size]))

    affine = {"bert.q.weight": ("U32", [1, 16]), "bert.q.scales": ("F16", [1, 1]), "bert.q.biases": ("F16", [1, 1])}
    seed("affine", {"quantization": {"group_size": 64, "bits": 8}}, affine)
    seed("override", {"quantization": {"group_size": 32, "bits": 4, "q": {"bits": 8}}}, affine)
    seed("mxfp8", {"quantization": {"mode": "mxfp8"}}, {"q.weight": ("U32", [1, 8]), "q.scales": ("U8", [1, 1])})
    seed("int8", {"mlx_encoder": {"scheme": "int8", "version": 1}},
         {"q.weight": ("I8", [2, 3]), "q.weight.scale": ("F32", [2]), "q.weight.zero_point": ("I8", [2])})
    seed("fake", {}, {"q.weight": ("F32", [2, 3]), "q.weight.scale": ("F32", [1]), "q.weight.zero_point": ("F32", [1])})
    seed("names", {}, {"bert.LayerNorm.gamma": ("F32", [2]), "LayerNorm.weight": ("F32", [2]),
                       "bert.position_ids": ("I64", [1])})
    seed("stale_index", {}, {"a": ("I8", [1])}, '{"weight_map": {"b": "model-00001-of-00001.safetensors"}}')
    seed("dense", {}, {"linear.weight": ("F32", [3, 8]), "linear.bias": ("F32", [3])}, "", sentence)


def tokenizer() -> None:
    special = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    bert = {"added_tokens": [{"id": 0, "content": "[UNK]", **special}, {"id": 1, "content": "[CLS]", **special}],
            "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                           "strip_accents": None, "lowercase": True},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "TemplateProcessing",
                               "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                               "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                               "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]}}},
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 9, "vocab": {"[UNK]": 0, "[CLS]": 1, "a": 2, "##b": 3, "!": 4}}}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    bpe = {"pre_tokenizer": byte_level, "decoder": byte_level,
           "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 1], "cls": ["<s>", 0], "trim_offsets": True,
                              "add_prefix_space": False},
           "truncation": {"direction": "Left", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
           "padding": {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 1,
                       "pad_type_id": 0, "pad_token": "</s>"},
           "model": {"type": "BPE", "dropout": 0.5, "unk_token": None, "continuing_subword_prefix": "",
                     "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False,
                     "vocab": {"<s>": 0, "</s>": 1, "a": 2, "b": 3, "ab": 4, "\u0120": 5}, "merges": ["a b"]}}
    unigram = {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"},
                              {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
               "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                   {"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always"},
                   {"type": "Split", "pattern": {"Regex": "[0-9]"}, "behavior": "Isolated", "invert": False},
                   {"type": "Punctuation", "behavior": "Isolated"}, {"type": "Digits", "individual_digits": True}]},
               "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"},
                                                            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
               "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": False,
                         "vocab": [["<unk>", 0.0], ["\u2581", -1.5], ["a", -2.0], ["\u2581ab", -3.0]]}}
    word_level = {"normalizer": {"type": "Prepend", "prepend": "a"}, "pre_tokenizer": {"type": "CharDelimiterSplit", "delimiter": " "},
                  "post_processor": {"type": "BertProcessing", "sep": ["b", 1], "cls": ["a", 0]},
                  "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 4294967295}, "unk_token": "a"}}
    roles = {"tokenizer_class": "BertTokenizer", "unk_token": "[UNK]", "cls_token": "[CLS]", "do_lower_case": False,
             "model_max_length": 8, "added_tokens_decoder": {"5": {"content": "new", "lstrip": True, "special": False}}}

    def seed(name: str, text: bytes, tokenizer="", config="", special_map="", added="", vocab_txt="", vocab_json="",
             merges="") -> None:
        parts = [tokenizer, config, special_map, added, vocab_txt, vocab_json, merges]
        put("tokenizer", name, b"\0".join((p if isinstance(p, str) else json.dumps(p)).encode() for p in parts) + b"\0" + text)

    seed("wordpiece", "\x04A b! \u00c9\u4e2d[CLS]\nab".encode(), bert, roles, {"mask_token": "[CLS]"}, {"new": 5})
    seed("bpe", "\x12ab \U0001f600 abab\nba".encode(), bpe, {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": True})
    seed("unigram", "\x80ab  12, \ufb01".encode(), unigram, {"tokenizer_class": "XLMRobertaTokenizer", "mask_token": "<m>"})
    seed("word_level", b"\x25a b a\na", word_level)
    seed("vocab_txt", b"\x00[MASK] ab", "", {"tokenizer_class": "BertTokenizer"}, "", {"new": 7}, "[PAD]\n[UNK]\r\n[CLS]\n[SEP]\n[MASK]\na\n##b\n")
    seed("vocab_json", b"\x03ab<mask>", "", {"tokenizer_class": "RobertaTokenizer"}, {"additional_special_tokens": ["<x>", "<m>"]}, "", "",
         {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4, "a": 5, "b": 6, "ab": 7}, "#version: 0.2\na b\n")
    seed("no_model", b"\x00a", {"version": "1.0"})
    seed("nothing", b"\x00a")
    seed("not_utf8", b"\x00a\xff", bert)


def sentence() -> None:
    names = ["modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "1_Pooling/config.json",
             "2_Dense/config.json"]

    def seed(name: str, files: dict, tensors: dict | None = None) -> None:
        parts = [files.get(n, "") for n in names]
        text, size = header(tensors) if tensors else ("", 0)
        assert size < 256
        tail = text.encode() + bytes([size]) if tensors else b""
        put("sentence", name, b"\0".join([(p if isinstance(p, str) else json.dumps(p)).encode() for p in parts] + [tail]))

    def modules(*kinds: str) -> list:
        return [{"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
                for i, (kind, path) in enumerate(k.split("@") for k in kinds)]

    saved = DATA / "sentence" / "saved"
    seed("saved", {n: (saved / n).read_text() for n in names if (saved / n).exists()},
         {"linear.weight": ("F32", [3, 8]), "linear.bias": ("F32", [3])})
    pooling = {"word_embedding_dimension": 8, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}
    plain = modules("Transformer@", "Pooling@1_Pooling", "Normalize@2_Normalize")
    seed("flags", {"modules.json": plain, "1_Pooling/config.json": pooling})
    seed("newest", {"modules.json": plain, "1_Pooling/config.json": {"embedding_dimension": 8, "pooling_mode": ["max", "lasttoken"],
                                                                     "include_prompt": False}})
    seed("settings", {"modules.json": plain, "1_Pooling/config.json": pooling,
                      "sentence_bert_config.json": {"max_seq_length": 7, "do_lower_case": True, "tokenizer_args": {"model_max_length": 9},
                                                    "model_args": {"attn_implementation": "sdpa"}, "transformer_task": "feature-extraction",
                                                    "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}},
                      "config_sentence_transformers.json": {"prompts": {"query": "q: ", "none": ""}, "default_prompt_name": "query",
                                                            "similarity_fn_name": "dot", "__version__": {"torch": "2"}}})
    dense = {"in_features": 2, "out_features": 1, "bias": False, "activation_function": "torch.nn.modules.linear.Identity"}
    stack = modules("Transformer@", "Pooling@1_Pooling", "Dense@2_Dense", "Dropout@3_Dropout")
    seed("dense", {"modules.json": stack, "1_Pooling/config.json": {"word_embedding_dimension": 2}, "2_Dense/config.json": dense},
         {"linear.weight": ("F16", [1, 2])})
    seed("dense_bf16", {"modules.json": stack, "1_Pooling/config.json": {"word_embedding_dimension": 2},
                        "2_Dense/config.json": dense | {"bias": True}},
         {"linear.weight": ("BF16", [1, 2]), "linear.bias": ("F64", [1])})
    seed("escape", {"modules.json": modules("Transformer@", "Pooling@../x")})
    seed("cross_encoder", {"config_sentence_transformers.json": {"model_type": "CrossEncoder"}})


def provenance() -> None:
    print_ = {"bytes": 12, "sha256": "0123456789abcdef" * 4}
    good = {"version": 1, "tool": "mlx-encoder 0.1.0", "plan": "ab", "source": {"config.json": print_},
            "output": {"config.json": print_, "2_Dense/model.safetensors": print_}}
    put("provenance", "good", json.dumps(good))
    put("provenance", "version", json.dumps(good | {"version": 2}))
    put("provenance", "outside", json.dumps(good | {"output": {"a/../../b": print_, "/c": print_}}))
    put("provenance", "types", json.dumps(good | {"source": {"a": {"bytes": -1, "sha256": 3}}}))
    put("provenance", "cut", json.dumps(good)[:90])


def rows() -> None:
    texts = {"txt": "one\ntwo\r\n\n\u00e9\n", "tsv": "\ufeffid\ttext\ttext_pair\tlabel\n1\ta b\tc\tyes\n2\t\t\tno\n",
             "jsonl": '"a"\n{"text": "b", "text_pair": "c", "label": 1.5, "score": null}\n\n{"query": "\\u00e9\\ud83d\\ude00", "passage": ""}\n',
             "conll": "-DOCSTART- -X- O\n\nWolff B-PER\n, O\n\nWord\tNN\tB-LOC\n"}
    for i, (name, text) in enumerate(texts.items()):
        put("rows", name, bytes([i]) + text.encode())
    put("rows", "jsonl_nested", b"\x02" + b"[" * 300)
    put("rows", "jsonl_bad", b'\x02{"text": "a", "text": 3}\n{"text": \n')
    put("rows", "tsv_twice", b"\x01a\ta\nb\tc\n")
    put("rows", "not_utf8", b"\x00a\xffb")


def parquet() -> None:
    for name in ["pairs", "ner", "bytes", "refused_null", "refused_utf8", "duckdb_zstd", "pyarrow_snappy_1", "pyarrow_lz4_2", "encodings"]:
        put("parquet", name, (DATA / "parquet" / f"{name}.parquet").read_bytes())


def task_data() -> None:
    def seed(name: str, task: int, form: int, text: str) -> None:
        put("task_data", name, bytes([task + 6 * form]) + text.encode())

    seed("similarity_tsv", 0, 0, "score\tsentence1\tsentence2\n2.5\ta\tb\n0\tc\td\n")
    seed("similarity_jsonl", 0, 1, '{"text": "a", "text_pair": "b", "score": 4}\n')
    seed("classification_tsv", 1, 0, "text\tlabel\na\tyes\nb\t1\n")
    seed("nli_jsonl", 2, 1, '{"premise": "a", "hypothesis": "b", "label": 1}\n{"premise": "c", "hypothesis": "d", "label": "neutral"}\n')
    seed("ner_conll", 3, 2, "Wolff B-PER\n, O\n\nx\tNN\tB-LOC\n")
    seed("ner_jsonl", 3, 1, '{"tokens": ["a", "b"], "ner_tags": ["O", "B-x"]}\n')
    seed("rerank_jsonl", 4, 1, '{"query": "q", "positive": ["a"], "negative": ["b", "c"]}\n')
    seed("rerank_tsv", 4, 0, "query\tpassage\trelevant\nq\ta\t1\nq\tb\t0\n")
    seed("retrieval", 5, 0, '{"_id": "q1", "text": "a"}\n\0{"_id": "d1", "title": "t", "text": "b"}\n{"_id": "d2", "text": "c"}\n\0'
         "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\n")


def card() -> None:
    marks = ("<!-- mlx-encoder: measurements begin -->", "<!-- mlx-encoder: measurements end -->")
    put("card", "source", "---\nlicense: apache-2.0\nlanguage:\n- en\n- de\ntags:\n- x\npipeline_tag: sentence-similarity\n---\n\n# A model\n")
    put("card", "crlf", "---\r\nlicense: mit\r\n---\r\ntext\r\n")
    put("card", "bom", "\ufeff---\nlicense: mit\n---\n")
    put("card", "open", "---\nlicense: mit\n")
    put("card", "empty", "---\n---\n")
    put("card", "written", f"---\nlibrary_name: mlx\n---\n# m\n{marks[0]}\nNot measured yet.\n{marks[1]}\nend\n")
    put("card", "crossed", f"{marks[1]}\n{marks[0]}\n")


if __name__ == "__main__":
    safetensors()
    torch()
    npz()
    adapter()
    gguf()
    onnx()
    config()
    index()
    folder()
    tokenizer()
    sentence()
    provenance()
    rows()
    parquet()
    task_data()
    card()
