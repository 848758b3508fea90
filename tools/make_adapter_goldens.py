"""Writes tests/data/adapters: LoRA and DoRA adapters of the models in tests/data/tiny, saved by PEFT, and the tensors and
outputs of the models that merge_and_unload() makes of them.

    python tools/make_adapter_goldens.py
"""

import json
import os
import shutil
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForSequenceClassification

ROOT = Path(__file__).resolve().parent.parent
TINY = ROOT / "tests" / "data" / "tiny"
OUT = ROOT / "tests" / "data" / "adapters"
TEXTS = [[2, 17, 101, 44, 45, 3], [2, 77, 3]]  # token ids

# name: model folder, head, arguments of LoraConfig
CASES = {
    "plain": ("bert_multilabel", True, {"task_type": "SEQ_CLS", "target_modules": ["query", "value"]}),
    "patterns": ("distilbert", False, {
        "task_type": "FEATURE_EXTRACTION", "target_modules": ["q_lin", "v_lin", "lin2"], "use_rslora": True,
        "rank_pattern": {"v_lin": 2, r"^transformer\.layer\.1\.attention\.q_lin$": 3}, "alpha_pattern": {"layer.0.ffn.lin2": 5}}),
    "dora": ("roberta", False, {"target_modules": "all-linear", "use_dora": True}),
    "modernbert": ("modernbert", False, {"target_modules": ["Wqkv", "Wo"]}),
    "qwen3": ("qwen3", False, {"target_modules": ["q_proj", "down_proj", "embed_tokens"]}),
    "embeddings": ("bert", False, {"target_modules": ["query", "word_embeddings"], "bias": "all"}),
    "dora_embeddings": ("bert", False, {"target_modules": ["key", "word_embeddings"], "use_dora": True, "bias": "lora_only"}),
    "lora_bias": ("distilbert", False, {"target_modules": ["k_lin"], "lora_bias": True}),
    "new_head": ("bert", True, {"task_type": "SEQ_CLS", "target_modules": ["dense"]}),
}


def randomize(model: torch.nn.Module) -> None:
    """Gives all that is trained values of at most 1/2, so that the products of a rank of 4 are at most 1."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            if "lora_magnitude" in name:
                parameter.mul_(torch.rand_like(parameter) + 0.5)
            elif "lora_" in name:
                parameter.copy_((torch.rand_like(parameter) - 0.5) * 0.5)
            else:
                parameter.add_((torch.rand_like(parameter) - 0.5) * 0.2)


def outputs(model: torch.nn.Module, classify: bool) -> torch.Tensor:
    """The hidden states of all tokens, or the logits of all texts, one after another."""
    with torch.no_grad():
        results = [model(input_ids=torch.tensor([ids])) for ids in TEXTS]
    return torch.cat([r.logits if classify else r.last_hidden_state[0] for r in results])


def make(name: str, base: str, classify: bool, options: dict) -> None:
    folder = OUT / name
    os.chdir(TINY)  # PEFT records the model's path as it is given
    kind = AutoModelForSequenceClassification if classify else AutoModel
    more = {"num_labels": 3} if name == "new_head" else {}
    load = lambda: kind.from_pretrained(f"./{base}", attn_implementation="eager", dtype=torch.float32, **more).eval()
    torch.manual_seed(2)
    model = get_peft_model(load(), LoraConfig(r=4, lora_alpha=6, **options))
    randomize(model)
    model.save_pretrained(folder, safe_serialization=name != "modernbert")
    (folder / "README.md").unlink()
    if name == "modernbert":
        torch.save(model_state(folder, model), folder / "adapter_model.bin")
    base_state = {k: v.clone() for k, v in load().state_dict().items()}
    merged = PeftModel.from_pretrained(load(), folder).merge_and_unload().eval()
    changed = {k: v.clone() for k, v in merged.state_dict().items() if k not in base_state or not torch.equal(v, base_state[k])}
    changed["outputs"] = outputs(merged, classify)
    save_file(changed, folder / "expected.safetensors")
    (folder / "case.json").write_text(json.dumps({"base": base, "classify": classify}) + "\n")
    print(name, len(changed), "tensors", sum(f.stat().st_size for f in folder.iterdir()), "bytes")


def model_state(folder: Path, model: torch.nn.Module) -> dict:
    """The adapter's tensors, of which older versions of PEFT made a file of torch."""
    file = folder / "adapter_model.safetensors"
    if not file.exists():
        return torch.load(folder / "adapter_model.bin")
    state = load_file(file)
    file.unlink()
    return state


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    for name, case in CASES.items():
        make(name, *case)
    # mlx-lm's form of "qwen3": transposed matrices under other names.
    folder = OUT / "qwen3_mlx"
    folder.mkdir()
    state = load_file(OUT / "qwen3" / "adapter_model.safetensors")
    tensors = {}
    for name, tensor in state.items():
        module, _, part = name.removeprefix("base_model.model.").rpartition(".lora_")
        if part in ["A.weight", "B.weight", "embedding_A", "embedding_B"]:
            letter = "a" if "A" in part else "b"
            tensors[f"model.{module}.lora_{letter}"] = tensor.T.contiguous()
    save_file(tensors, folder / "adapters.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({
        "fine_tune_type": "lora", "num_layers": 2, "lora_parameters": {"rank": 4, "scale": 1.5, "dropout": 0.0}}) + "\n")
    (folder / "case.json").write_text(json.dumps({"base": "qwen3", "classify": False}) + "\n")
    shutil.copy(OUT / "qwen3" / "expected.safetensors", folder)
