"""Folders as jinaai publishes them with XLM-RoBERTa of its own (xlm-roberta-flash-implementation): jina-embeddings-v3, whose
file has low-rank changes for several tasks, and jina-reranker-v2. transformers 5 computes the same models under other names."""

import json

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils import parametrize

RANK, ALPHA = 2, 3
# Two tasks with a prompt, one without.
TASKS = {"retrieval.query": "take the query: ", "retrieval.passage": "the passage: ", "text-matching": ""}
CODE = "jinaai/xlm-roberta-flash-implementation--"


class LowRank(nn.Module):
    """W + B A alpha / rank of one task, or W alone; of an embedding, A B."""

    def __init__(self, weight, of_embedding, random):
        super().__init__()
        rows, columns = weight.shape
        shapes = ((rows, RANK), (RANK, columns)) if of_embedding else ((RANK, columns), (rows, RANK))
        size = weight.std().item() / 2  # a change that is clearly seen
        make = lambda shape, scale: nn.Parameter(  # noqa: E731
            torch.from_numpy(random.standard_normal((len(TASKS), *shape)) * scale).float())
        self.lora_A, self.lora_B = make(shapes[0], size), make(shapes[1], 1)
        self.of_embedding, self.task = of_embedding, None

    def forward(self, weight):
        if self.task is None:
            return weight
        a, b = self.lora_A[self.task], self.lora_B[self.task]
        return weight + (a @ b if self.of_embedding else b @ a) * (ALPHA / RANK)


def config_as_published(folder, **more):
    path = folder / "config.json"
    own = json.loads(path.read_text())
    kept = {key: own[key] for key in ("architectures", "hidden_act", "hidden_size", "intermediate_size", "layer_norm_eps",
                                      "max_position_embeddings", "num_attention_heads", "num_hidden_layers", "pad_token_id",
                                      "type_vocab_size", "vocab_size", "id2label", "label2id") if key in own}
    kept["architectures"] = [name.replace("JinaEmbeddingsV3", "XLMRoberta") for name in kept["architectures"]]
    published = kept | dict(
        attention_probs_dropout_prob=0.1, bos_token_id=0, classifier_dropout=None, emb_pooler="mean", eos_token_id=2,
        hidden_dropout_prob=0.1, initializer_range=0.02, matryoshka_dimensions=[8, 16, 32], model_type="xlm-roberta",
        output_past=True, torch_dtype="float32", transformers_version="4.30.2", truncate_dim=None, use_cache=True,
        use_flash_attn=True) | more
    path.write_text(json.dumps(published, indent=2, sort_keys=True) + "\n")


def tree(tensors):
    """A module of linears and embeddings with these names."""
    root = nn.Module()
    for name, tensor in tensors.items():
        *path, leaf = name.split(".")
        module = root
        for part in path:
            if not hasattr(module, part):
                module.add_module(part, nn.Module())
            module = getattr(module, part)
        module.register_parameter(leaf, nn.Parameter(tensor, requires_grad=False))
    return root


def publish_tasks(folder, encode):
    """`encode(folder, prompt)`: the vectors of the texts. Writes tasks.safetensors with those of each task."""
    weights = folder / "model.safetensors"
    plain = load_file(weights)
    model, random = tree(plain), np.random.default_rng(3)
    changed = [name for name, tensor in plain.items() if tensor.ndim == 2]
    lows = []
    for name in changed:
        module = model.get_submodule(name.removesuffix(".weight"))
        lows.append(LowRank(module.weight, "embeddings" in name, random))
        parametrize.register_parametrization(module, "weight", lows[-1])
    expected = {}
    for task, (name, prompt) in enumerate(TASKS.items()):
        for low in lows:
            low.task = task
        with torch.no_grad():
            merged = {n: model.get_parameter(n).clone() if n not in changed
                      else model.get_submodule(n.removesuffix(".weight")).weight.clone() for n in plain}
        save_file(merged, weights, {"format": "pt"})
        expected[name] = encode(folder, prompt)
        expected[name + ".Wqkv"] = next(t for n, t in merged.items() if n.endswith("layers.0.mixer.Wqkv.weight"))
        for n in ("word", "token_type"):
            expected[f"{name}.{n}"] = merged[f"embeddings.{n}_embeddings.weight"]
    save_file(expected, folder / "tasks.safetensors")
    state = {"roberta." + name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    save_file(state, weights, {"format": "pt"})
    config_as_published(
        folder, position_embedding_type="rotary", rotary_emb_base=20000.0, load_trained_adapters=True,
        lora_adaptations=list(TASKS), lora_alpha=ALPHA, lora_dropout_p=0.0, lora_main_params_trainable=False, lora_rank=RANK,
        task_instructions=TASKS,
        auto_map={"AutoConfig": CODE + "configuration_xlm_roberta.XLMRobertaFlashConfig",
                  "AutoModel": CODE + "modeling_lora.XLMRobertaLoRA",
                  "AutoModelForMaskedLM": CODE + "modeling_xlm_roberta.XLMRobertaForMaskedLM"})
    path = folder / "modules.json"
    modules = json.loads(path.read_text())
    modules[0] |= dict(type="custom_st.Transformer", kwargs=["task"])
    path.write_text(json.dumps(modules, indent=2))
    path = folder / "config_sentence_transformers.json"
    settings = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(settings | dict(prompts=TASKS, default_prompt_name=None), indent=2))


def publish_reranker(folder):
    """An XLM-RoBERTa of transformers under the published names."""
    renamed = {"embeddings.LayerNorm": "emb_ln", "encoder.layer.": "encoder.layers.",
               "attention.output.dense": "mixer.out_proj", "attention.output.LayerNorm": "norm1",
               "intermediate.dense": "mlp.fc1", "output.dense": "mlp.fc2", "output.LayerNorm": "norm2"}
    weights = folder / "model.safetensors"
    tensors, qkv = {}, {}
    for name, tensor in load_file(weights).items():
        for old, new in renamed.items():
            name = name.replace(old, new)
        for place, part in enumerate(("query", "key", "value")):
            if f"attention.self.{part}." in name:
                qkv.setdefault(name.replace(f"attention.self.{part}", "mixer.Wqkv"), {})[place] = tensor
                break
        else:
            tensors[name] = tensor
    for name, parts in qkv.items():
        tensors[name] = torch.cat([parts[place] for place in range(3)])
    save_file(tensors, weights, {"format": "pt"})
    config_as_published(
        folder, position_embedding_type="absolute",
        auto_map={"AutoConfig": CODE + "configuration_xlm_roberta.XLMRobertaFlashConfig",
                  "AutoModel": CODE + "modeling_xlm_roberta.XLMRobertaModel",
                  "AutoModelForSequenceClassification": CODE + "modeling_xlm_roberta.XLMRobertaForSequenceClassification"})
