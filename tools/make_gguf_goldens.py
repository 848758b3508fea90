"""Writes tests/data/gguf: what llama.cpp's own converter makes of tiny checkpoints, its vocabularies of small tokenizers, and
what gguf-py decodes of every type of tensor.

    python tools/make_gguf_goldens.py LLAMA_CPP

LLAMA_CPP is a checkout of llama.cpp (its PyPI package llama-cpp-python has one in vendor/). The converter knows tokenizers
by a hash of what they make of one text; the small ones here are named instead.
"""

import json
import logging
import shutil
import sys
import tempfile
from pathlib import Path

LLAMA_CPP = Path(sys.argv[1]).resolve()
sys.path[:0] = [str(LLAMA_CPP / "gguf-py"), str(LLAMA_CPP)]

import numpy as np
import gguf
import torch
from conversion import ModelBase, get_model_class
from gguf.quants import dequantize
from safetensors.numpy import save_file
from sentencepiece import SentencePieceProcessor
from transformers import AutoTokenizer

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
OUT = DATA / "gguf"

# Name of the file: folder in tests/data/tiny, "tokenizer.ggml.pre".
MODELS = {
    "bert": ("st_mean_norm", "jina-v2-en"),
    "bert_cls": ("st_cls", "jina-v2-en"),
    "roberta": ("st_lasttoken", "roberta-bpe"),
    "roberta_rank": ("roberta_cls", "roberta-bpe"),
    "xlm_roberta": ("xlm_roberta", ""),
    "xlm_roberta_rank": ("xlm_roberta_cls", ""),
    "nomic_bert": ("st_nomic", "jina-v2-en"),
    "modern_bert": ("modernbert", "modern-bert"),
    "modern_bert_rank": ("modernbert_cls", "modern-bert"),
    "jina_bert": ("st_jina", "jina-v2-en"),
    "jina_bert_code": ("jina_bert_code", "jina-v2-code"),
    "qwen3": ("st_qwen3", "qwen2"),
    "gemma": ("st_gemma3", ""),
}
# Name of the file: folder in tests/data/tokenizers, class of the model, pre.
VOCABULARIES = {
    "vocabulary_bert_uncased": ("bert_uncased", "BertModel", "jina-v2-en"),
    "vocabulary_bert_cased": ("bert_cased", "BertModel", "jina-v2-en"),
    "vocabulary_roberta": ("roberta", "RobertaModel", "roberta-bpe"),
    "vocabulary_xlm_roberta": ("sentencepiece/xlm_roberta", "XLMRobertaModel", ""),
}
TYPES = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
         "IQ4_XS"]
# Where the float16 numbers of a block are.
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0]}


def convert(folder: Path, target: Path, pre: str, vocabulary_only: bool = False, dense: bool = False) -> None:
    hparams = ModelBase.load_hparams(folder, False)
    model_class = get_model_class(hparams["architectures"][0])
    model_class.get_vocab_base_pre = lambda self, tokenizer: pre
    limits = hparams.get("n_positions"), hparams.get("max_trained_positions")
    if "n_positions" in hparams:  # the converter knows two models only
        hparams.update(n_positions=8192, max_trained_positions=2048)
    model = model_class(folder, gguf.LlamaFileType.ALL_F32, target, hparams=hparams,
                        sentence_transformers_dense_modules=dense)
    if limits[0]:
        model.hparams["n_positions"] = limits[0]
    model.write_vocab() if vocabulary_only else model.write()


def save_models() -> None:
    for name, (folder, pre) in MODELS.items():
        with tempfile.TemporaryDirectory() as work:
            copy = Path(shutil.copytree(DATA / "tiny" / folder, Path(work) / folder))
            (copy / "golden.safetensors").unlink()
            if not (copy / "tokenizer.json").exists():
                AutoTokenizer.from_pretrained(copy).save_pretrained(copy)
            if name.startswith("xlm_roberta"):
                give_character_map(copy)
            convert(copy, OUT / f"{name}.gguf", pre, dense=name == "gemma")


def give_character_map(folder: Path) -> None:
    """The converter asks for the map of characters that SentencePiece models have. It is left out of the file: the texts
    of the tests need none."""
    full = json.loads((DATA / "tokenizers" / "xlm_roberta" / "tokenizer.json").read_text())
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["normalizer"] = next(n for n in full["normalizer"]["normalizers"] if n["type"] == "Precompiled")
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    gguf.GGUFWriter.add_precompiled_charsmap = lambda self, charsmap: None


def save_vocabularies() -> None:
    for name, (folder, architecture, pre) in VOCABULARIES.items():
        with tempfile.TemporaryDirectory() as work:
            copy = Path(shutil.copytree(DATA / "tokenizers" / folder, Path(work) / "model"))
            tokenizer = json.loads((copy / "tokenizer.json").read_text()) if (copy / "tokenizer.json").exists() else None
            config = json.loads((copy / "config.json").read_text())
            config.update(architectures=[architecture], hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                          intermediate_size=32, max_position_embeddings=512, layer_norm_eps=1e-12, type_vocab_size=2)
            if tokenizer:
                config["vocab_size"] = len(tokenizer["model"]["vocab"])
            else:  # two more than the SentencePiece model has
                model = SentencePieceProcessor(str(copy / "sentencepiece.bpe.model"))
                config["vocab_size"] = model.vocab_size() + 2
            (copy / "config.json").write_text(json.dumps(config))
            convert(copy, OUT / f"{name}.gguf", pre, vocabulary_only=True)


def save_types() -> None:
    """Random blocks, and their numbers. The file has them under the name of their type."""
    random = np.random.default_rng(11)
    writer = gguf.GGUFWriter(OUT / "types.gguf", "bert")
    expected = {}
    for name in TYPES:
        kind = gguf.GGMLQuantizationType[name]
        block, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = 2 * (512 // block)
        data = random.integers(0, 256, (blocks, size), dtype=np.uint8)
        numbers = random.normal(0, 0.01, (blocks, 2))
        if name in HALVES:
            for i, at in enumerate(HALVES[name]):
                data[:, at : at + 2] = numbers[:, i : i + 1].astype(np.float16).view(np.uint8)
        else:  # any finite number
            values = random.normal(0, 1, blocks).astype(np.float32)
            data = {"F32": values, "F16": values.astype(np.float16),
                    "BF16": (values.view(np.uint32) >> 16).astype(np.uint16)}[name].view(np.uint8)
        data = data.reshape(2, -1)
        writer.add_tensor(name, data, raw_dtype=kind)
        expected[name] = np.ascontiguousarray(dequantize(data, kind)).astype(np.float32)
        assert np.isfinite(expected[name]).all() and expected[name].shape == (2, 512)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(expected, OUT / "types.safetensors")


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    OUT.mkdir(exist_ok=True)
    save_types()
    with torch.inference_mode():
        save_vocabularies()
        save_models()
