"""Writes a full-size DistilBERT (distilbert-base-uncased's shape) with random float32 weights, for size and speed tests.

    python tools/make_random_distilbert.py OUT [--head none|nli] [--seed 1]      (needs numpy and safetensors only)

`nli` (the default) is DistilBertForSequenceClassification with 3 labels, 66,955,779 parameters; `none` is
DistilBertModel, 66,362,880. The same seed gives the same bytes. The tokenizer is a generated WordPiece vocabulary of
30,522 entries: any text gets ids, short and common ones for the letters it is made of.
"""

import argparse
import itertools
import json
import math
import string
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

VOCAB, DIM, LAYERS, HEADS, HIDDEN, POSITIONS = 30522, 768, 6, 12, 3072, 512
LABELS = ["entailment", "neutral", "contradiction"]
PARAMETERS = {"none": 66_362_880, "nli": 66_955_779}
SPECIAL = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}  # where the real vocabulary has them


def shapes(head):
    """Tensor name -> shape, as transformers saves them."""
    linear = lambda name, out, into: {f"{name}.weight": (out, into), f"{name}.bias": (out,)}  # noqa: E731
    norm = lambda name: {f"{name}.weight": (DIM,), f"{name}.bias": (DIM,)}  # noqa: E731
    base = {"embeddings.word_embeddings.weight": (VOCAB, DIM), "embeddings.position_embeddings.weight": (POSITIONS, DIM)}
    base |= norm("embeddings.LayerNorm")
    for i in range(LAYERS):
        layer = f"transformer.layer.{i}"
        for part in ("q_lin", "k_lin", "v_lin", "out_lin"):
            base |= linear(f"{layer}.attention.{part}", DIM, DIM)
        base |= norm(f"{layer}.sa_layer_norm")
        base |= linear(f"{layer}.ffn.lin1", HIDDEN, DIM) | linear(f"{layer}.ffn.lin2", DIM, HIDDEN)
        base |= norm(f"{layer}.output_layer_norm")
    if head == "none":
        return base
    named = {f"distilbert.{name}": shape for name, shape in base.items()}
    return named | linear("pre_classifier", DIM, DIM) | linear("classifier", len(LABELS), DIM)


def weights(head, seed):
    """Normal with a trained model's spread (0.04); layer norms around 1; one stream a tensor, so order is free."""
    tensors = {}
    for index, (name, shape) in enumerate(shapes(head).items()):
        values = np.random.Generator(np.random.SFC64([seed, index])).standard_normal(shape, dtype=np.float32)
        values *= np.float32(0.04)
        if name.lower().endswith("norm.weight"):
            values += np.float32(1)
        tensors[name] = values
    return tensors


def vocabulary():
    letters = string.ascii_lowercase + string.digits
    pieces = [*string.punctuation, *letters, *("##" + c for c in letters)]
    for length in (2, 3):
        for word in itertools.product(string.ascii_lowercase, repeat=length):
            pieces += ["".join(word), "##" + "".join(word)]
    taken, result = iter(pieces), [None] * VOCAB
    for token, position in SPECIAL.items():
        result[position] = token
    for position in range(VOCAB):
        if result[position] is None:
            result[position] = f"[unused{position}]" if position < 104 else next(taken)
    return result


def tokenizer(pieces):
    special = [{"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True} for token, i in SPECIAL.items()]
    cls, sep = ({"SpecialToken": {"id": token, "type_id": 0}} for token in ("[CLS]", "[SEP]"))
    second = [{"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "[SEP]", "type_id": 1}}]
    first = [cls, {"Sequence": {"id": "A", "type_id": 0}}, sep]
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing", "single": first, "pair": first + second,
                           "special_tokens": {t: {"id": t, "ids": [SPECIAL[t]], "tokens": [t]}
                                              for t in ("[CLS]", "[SEP]")}},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": {piece: i for i, piece in enumerate(pieces)}},
    }


def config(head):
    result = {
        "activation": "gelu", "architectures": ["DistilBertModel"], "attention_dropout": 0.1, "dim": DIM, "dropout": 0.1,
        "hidden_dim": HIDDEN, "initializer_range": 0.02, "max_position_embeddings": POSITIONS,
        "model_type": "distilbert", "n_heads": HEADS, "n_layers": LAYERS, "pad_token_id": 0, "qa_dropout": 0.1,
        "seq_classif_dropout": 0.2, "sinusoidal_pos_embds": False, "tie_weights_": True, "torch_dtype": "float32",
        "vocab_size": VOCAB}
    if head == "nli":
        result |= {"architectures": ["DistilBertForSequenceClassification"], "id2label": dict(enumerate(LABELS)),
                   "label2id": {label: i for i, label in enumerate(LABELS)}}
    return result


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--head", choices=PARAMETERS, default="nli")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)

    count = sum(math.prod(shape) for shape in shapes(arguments.head).values())
    assert count == PARAMETERS[arguments.head], count
    save_file(weights(arguments.head, arguments.seed), out / "model.safetensors", {"format": "pt"})
    write_json(out / "config.json", config(arguments.head))

    pieces = vocabulary()
    assert len(set(pieces)) == VOCAB
    (out / "vocab.txt").write_text("\n".join(pieces) + "\n")
    write_json(out / "tokenizer.json", tokenizer(pieces))
    special = {"cls_token": "[CLS]", "mask_token": "[MASK]", "pad_token": "[PAD]", "sep_token": "[SEP]",
               "unk_token": "[UNK]"}
    write_json(out / "special_tokens_map.json", special)
    write_json(out / "tokenizer_config.json", special | {"do_lower_case": True, "model_max_length": POSITIONS,
                                                         "tokenizer_class": "DistilBertTokenizer"})
    print(f"{out}: {count:,} parameters, {(out / 'model.safetensors').stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
