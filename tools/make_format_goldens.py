"""Writes the golden files of the format tests into tests/data.

    python tools/make_format_goldens.py torch   # safetensors, torch, sentence-transformers, huggingface_hub
    python tools/make_format_goldens.py mlx     # mlx

Each half needs only the packages named beside it.
"""

import json
import shutil
import sys
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"


def all_dtypes() -> None:
    """One tensor of each dtype, with the float32 values torch makes of it beside it."""
    import torch
    from safetensors.torch import save_file

    folder = DATA / "safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    floats = [0.0, -0.0, 1.0, -1.5, 3.140625, 65504.0, 6e-8, -1e-7, 1e-3, float("inf"), -float("inf"), 0.1]
    integers = {"i64": torch.int64, "i32": torch.int32, "i16": torch.int16, "i8": torch.int8,
                "u64": torch.uint64, "u32": torch.uint32, "u16": torch.uint16, "u8": torch.uint8}
    tensors = {
        "f64": torch.tensor(floats + [1e300, 1 / 3], dtype=torch.float64),
        "f32": torch.tensor(floats + [1e-45, 1 / 3], dtype=torch.float32).reshape(2, 7),
        "f16": torch.tensor(floats, dtype=torch.float16).reshape(3, 2, 2),
        "bf16": torch.tensor(floats, dtype=torch.bfloat16),
        "bool": torch.tensor([True, False, True]),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4, dtype=torch.float16),
    }
    for name, dtype in integers.items():
        low, high = torch.iinfo(dtype).min, torch.iinfo(dtype).max
        tensors[name] = torch.tensor([low, 0, 1, 100, high], dtype=dtype)
    save_file(tensors, folder / "all_dtypes.safetensors", metadata={"format": "pt", "note": 'quote " and é'})
    expected = {}
    for name, tensor in tensors.items():
        values = tensor.to(torch.float32)
        bits = values.reshape(-1).view(torch.int32).tolist()
        expected[name] = {"dtype": str(tensor.dtype), "shape": list(tensor.shape), "bits": bits}
    (folder / "all_dtypes.json").write_text(json.dumps(expected) + "\n")


def sharded() -> None:
    """Three shards and their index as huggingface_hub writes them."""
    import torch
    from huggingface_hub import save_torch_state_dict

    folder = DATA / "checkpoints" / "sharded"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    state = {f"bert.encoder.layer.{i}.output.dense.weight": torch.full((4, 8), float(i)) for i in range(5)}
    save_torch_state_dict(state, folder, max_shard_size=300)
    (folder / "config.json").write_text('{"model_type": "bert"}\n')


def sentence_transformer() -> None:
    """The files around the weights of a sentence-transformers model with every module read here."""
    import tempfile

    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as source, tempfile.TemporaryDirectory() as saved:
        BertModel(BertConfig(vocab_size=8, hidden_size=4, num_hidden_layers=1, num_attention_heads=1,
                             intermediate_size=4, max_position_embeddings=16)).save_pretrained(source)
        vocabulary = Path(source) / "vocab.txt"
        vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"]))
        BertTokenizerFast(vocab_file=str(vocabulary)).save_pretrained(source)
        model = SentenceTransformer(
            modules=[
                Transformer(source, max_seq_length=12),
                Pooling(4, ("weightedmean", "cls"), include_prompt=False),
                Dense(8, 3, activation_function=torch.nn.Identity()),
                Normalize(),
            ],
            prompts={"query": "query: ", "passage": "passage: "},
            default_prompt_name="query",
            similarity_fn_name="dot",
        )
        model.save(saved, create_model_card=False)
        folder = DATA / "sentence" / "saved"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ["modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"]:
            shutil.copy(Path(saved) / name, folder / name)
        for name in ["1_Pooling", "2_Dense", "3_Normalize"]:
            shutil.copytree(Path(saved) / name, folder / name, dirs_exist_ok=True)


def mlx_quantized() -> None:
    """A file MLX itself wrote: affine, mxfp4 and plain modules side by side, and its dequantized values."""
    import mlx.core as mx
    import mlx.nn as nn

    folder = DATA / "checkpoints" / "mlx_mixed"
    folder.mkdir(parents=True, exist_ok=True)
    mx.random.seed(7)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embeddings = nn.Embedding(6, 64)
            self.query = nn.Linear(64, 8)
            self.output = nn.Linear(128, 4)
            self.classifier = nn.Linear(64, 2)

    model = Model()
    model.set_dtype(mx.float16)
    overrides = {
        "embeddings": {"group_size": 32, "bits": 6},
        "output": {"group_size": 32, "bits": 4, "mode": "mxfp4"},
        "classifier": False,
    }
    nn.quantize(model, 64, 4, class_predicate=lambda path, _: overrides.get(path, True))
    weights = dict(nn.utils.tree_flatten(model.parameters()))
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    config = {"model_type": "bert", "quantization": {"group_size": 64, "bits": 4, **overrides}}
    (folder / "config.json").write_text(json.dumps(config, indent=4) + "\n")


if __name__ == "__main__":
    half = sys.argv[1] if len(sys.argv) == 2 else ""
    if half == "torch":
        all_dtypes()
        sharded()
        sentence_transformer()
    elif half == "mlx":
        mlx_quantized()
    else:
        sys.exit(__doc__)
