"""Writes a base-size encoder of a family with random float32 weights, for speed tests.

    python tools/make_random_encoder.py FAMILY OUT [--seed 1]     (goldens; goldens-5 for families that transformers 4 lacks)

FAMILY: a key of SIZES; deberta-v2 is v3-base, qwen3 0.6B. The tokenizer is that of make_random_distilbert.py for all, so
that all run the same token ids.
"""

import argparse
from pathlib import Path

import torch
from make_random_distilbert import VOCAB, tokenizer, vocabulary, write_json
from transformers import AutoConfig, AutoModel

SIZES = {
    "bert": {},
    "mpnet": {},
    "deberta-v2": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072,
                       relative_attention=True, position_buckets=256, max_relative_positions=-1, pos_att_type=["p2c", "c2p"],
                       share_att_key=True, norm_rel_ebd="layer_norm", position_biased_input=False, type_vocab_size=0,
                       layer_norm_eps=1e-7),
    "modernbert": {},
    "nomic_bert": {},
    "electra": dict(embedding_size=768, hidden_size=768, num_attention_heads=12, intermediate_size=3072),
    "albert": dict(hidden_size=768, num_attention_heads=12, intermediate_size=3072),
    "gte": dict(type_vocab_size=0),
    "eurobert": dict(num_hidden_layers=12),
    "jina_embeddings_v3": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072),
    "qwen3": dict(hidden_size=1024, num_hidden_layers=28, num_attention_heads=16, num_key_value_heads=8, head_dim=128,
                  intermediate_size=3072, rope_theta=1e6, max_position_embeddings=32768, tie_word_embeddings=True),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", choices=SIZES)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    ids = dict(pad_token_id=0, bos_token_id=101, eos_token_id=102, cls_token_id=101, sep_token_id=102)
    config = AutoConfig.for_model(arguments.family, vocab_size=VOCAB, **ids, **SIZES[arguments.family])
    torch.manual_seed(arguments.seed)
    model = AutoModel.from_config(config)
    model.save_pretrained(arguments.out)
    if arguments.family == "nomic_bert":
        from make_model_goldens import as_nomic
        as_nomic(arguments.out)
    write_json(arguments.out / "tokenizer.json", tokenizer(vocabulary()))
    write_json(arguments.out / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512,
                                                         "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"})
    print(f"{arguments.out}: {sum(p.numel() for p in model.parameters()):,} parameters")


if __name__ == "__main__":
    main()
