"""Writes tests/data/torch and tests/data/checkpoints/sharded_bin: what torch.save makes of small state dicts, in every form
that is read.

    python tools/make_torch_goldens.py
"""

import shutil
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import torch
from huggingface_hub import save_torch_state_dict
from safetensors.torch import load_file, save_file

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
OUT = DATA / "torch"


def state() -> OrderedDict:
    """A tensor of each dtype that torch has a class of storages for, and every way in which one may lie in its storage."""
    floats = [0.0, -0.0, 1.0, -1.5, 3.140625, 65504.0, 6e-8, float("inf")]
    tensors = OrderedDict()
    for name in ["float64", "float32", "float16", "bfloat16"]:
        tensors[name] = torch.tensor(floats, dtype=getattr(torch, name)).reshape(2, 4)
    for name in ["int64", "int32", "int16", "int8", "uint8"]:
        info = torch.iinfo(getattr(torch, name))
        tensors[name] = torch.tensor([info.min, 0, 1, 100, info.max], dtype=getattr(torch, name))
    tensors["bool"] = torch.tensor([True, False, True])
    tensors["scalar"] = torch.tensor(2.5)
    tensors["empty"] = torch.zeros(0, 4)
    table = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    tensors["table"] = table
    tensors["shared"] = table  # tied weights
    tensors["rows"] = table[1:3]  # an offset
    tensors["columns"] = table[:, 2:5]  # strides
    tensors["every_other"] = table[::2, ::3]
    tensors["transposed"] = table.t()
    tensors["permuted"] = torch.arange(24, dtype=torch.float16).reshape(2, 3, 4).permute(2, 0, 1)
    tensors["expanded"] = torch.tensor([[1.0], [2.0]]).expand(2, 3)
    tensors["one_row"] = torch.arange(6)[None].expand(1, 6)
    tensors["parameter"] = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    tensors["buffer"] = torch.nn.Parameter(torch.tensor([3.0]), requires_grad=False)
    marked = torch.tensor([4.0, 5.0])
    marked.note = "an attribute"
    tensors["with_attribute"] = marked
    tensors._metadata = OrderedDict([("", {"version": 1})])
    return tensors


def save_forms() -> None:
    tensors = state()
    save_file({name: t.detach().contiguous().clone() for name, t in tensors.items()}, OUT / "expected.safetensors")
    for protocol in [2, 4]:
        torch.save(tensors, OUT / f"zip{protocol}.bin", pickle_protocol=protocol)
    for protocol in [2, 3, 5]:
        torch.save(tensors, OUT / f"legacy{protocol}.bin", pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    unsigned = {f"uint{bits}": torch.tensor([0, 1, 2**bits - 1], dtype=getattr(torch, f"uint{bits}")) for bits in [16, 32, 64]}
    torch.save(unsigned, OUT / "unsigned.bin")
    save_file(unsigned, OUT / "unsigned.safetensors")


def save_refused() -> None:
    """What is no dictionary of tensors that this program reads."""
    ones = torch.ones(2)
    refused = {
        "checkpoint": {"state_dict": {"a": ones}, "epoch": 3},
        "list": [ones],
        "complex": {"a": torch.ones(2, dtype=torch.complex64)},
        "float8": {"a": ones.to(torch.float8_e4m3fn)},
        "sparse": {"a": torch.eye(2).to_sparse()},
        "module": torch.nn.Linear(1, 1),
    }
    for name, value in refused.items():
        torch.save(value, OUT / f"refused_{name}.bin")


def change_archive(name: str, change, compression: int = zipfile.ZIP_STORED) -> None:
    """Writes zip2.bin anew as NAME, with its entries changed."""
    with zipfile.ZipFile(OUT / "zip2.bin") as archive:
        entries = {info.filename: archive.read(info) for info in archive.infolist()}
    change(entries)
    with zipfile.ZipFile(OUT / name, "w", compression) as archive:
        for entry, content in entries.items():
            archive.writestr(zipfile.ZipInfo(entry), content, compression)


def save_archives() -> None:
    change_archive("refused_compressed.bin", lambda entries: None, zipfile.ZIP_DEFLATED)
    change_archive("refused_big_endian.bin", lambda entries: entries.update({"zip2/byteorder": b"big"}))
    change_archive("refused_torchscript.bin", lambda entries: entries.update({"zip2/constants.pkl": b""}))
    change_archive("refused_two_pickles.bin", lambda entries: entries.update({"other/data.pkl": b""}))
    # As torch writes an archive of more than 4 GB: sizes and offsets in records of 64 bits.
    archive = (OUT / "zip2.bin").read_bytes()
    end = archive.rindex(b"PK\x05\x06")
    count, size, begin = struct.unpack("<HII", archive[end + 10 : end + 20])
    record = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, size, begin)
    locator = struct.pack("<IIQI", 0x07064B50, 0, end, 1)
    last = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    (OUT / "zip64.bin").write_bytes(archive[:end] + record + locator + last)
    torch.load(OUT / "zip64.bin")


def save_models() -> None:
    # Tied weights are in it twice, over one storage.
    tensors = OrderedDict(load_file(DATA / "tiny" / "bert_mlm" / "model.safetensors"))
    tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"]
    tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"]
    torch.save(tensors, OUT / "bert_mlm.bin")
    dense = load_file(DATA / "tiny" / "st_dense" / "2_Dense" / "model.safetensors")
    torch.save(OrderedDict(dense), OUT / "dense.bin", _use_new_zipfile_serialization=False)

    folder = DATA / "checkpoints" / "sharded_bin"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shards = {f"bert.encoder.layer.{i}.output.dense.weight": torch.full((4, 8), float(i)) for i in range(5)}
    save_torch_state_dict(shards, folder, max_shard_size=300, safe_serialization=False)
    (folder / "config.json").write_text('{"model_type": "bert"}\n')


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    save_forms()
    save_refused()
    save_archives()
    save_models()
