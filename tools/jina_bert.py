"""What jina-embeddings-v2 computes, as PyTorch modules that transformers' Auto classes load: neither transformers has
the family, whose published files bring code of their own.

Written anew from Press et al. 2022 (linear biases of distances), Guenther et al. 2023 (jina-embeddings-v2) and the tensors
and formulas of the published code: jinaai/jina-bert-implementation, and with `query_norms` jinaai/jina-bert-v2-qk-post-norm.
"""

import json

import torch
from torch import nn
from transformers import (AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoModelForTokenClassification,
                          PretrainedConfig, PreTrainedModel)
from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput, TokenClassifierOutput


class JinaBertConfig(PretrainedConfig):
    model_type = "jina_bert"

    def __init__(self, vocab_size=30528, hidden_size=512, num_hidden_layers=4, num_attention_heads=8,
                 intermediate_size=2048, hidden_act="gelu", max_position_embeddings=8192, type_vocab_size=2,
                 layer_norm_eps=1e-12, position_embedding_type="alibi", feed_forward_type="geglu", emb_pooler="mean",
                 pad_token_id=0, query_norms=False, **others):
        for name, value in dict(locals()).items():
            if name not in ("self", "others", "__class__", "pad_token_id"):
                setattr(self, name, value)
        super().__init__(pad_token_id=pad_token_id, **others)


def slopes(heads):
    """A geometric sequence from 2^(-8 / heads) for powers of two. Heads beyond such a power take every second slope of
    twice as many."""
    sequence = lambda n: [2.0 ** (-8 * (i + 1) / n) for i in range(n)]  # noqa: E731
    power = 1
    while 2 * power <= heads:
        power *= 2
    return torch.tensor(sequence(power) + sequence(2 * power)[::2][:heads - power], dtype=torch.float64)


class SelfAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads = c.num_attention_heads
        self.query, self.key, self.value = (nn.Linear(c.hidden_size, c.hidden_size) for _ in range(3))
        if c.query_norms:
            self.layer_norm_q, self.layer_norm_k = (nn.LayerNorm(c.hidden_size, c.layer_norm_eps) for _ in range(2))

    def forward(self, x, mask):
        q, k, v = self.query(x), self.key(x), self.value(x)
        if hasattr(self, "layer_norm_q"):
            q, k = self.layer_norm_q(q), self.layer_norm_k(k)
        texts, tokens, width = x.shape
        q, k, v = (t.view(texts, tokens, self.heads, width // self.heads).transpose(1, 2) for t in (q, k, v))
        places = torch.arange(tokens)
        apart = (places[:, None] - places[None, :]).abs()
        biases = (-slopes(self.heads)[:, None, None] * apart).to(x.dtype)
        scores = q @ k.transpose(-1, -2) / (width // self.heads) ** 0.5 + biases
        weights = scores.masked_fill(mask[:, None, None, :] == 0, -torch.inf).softmax(-1)
        return (weights @ v).transpose(1, 2).reshape(texts, tokens, width)


class DenseAndNorm(nn.Module):
    """norm(dense(y) + x)"""

    def __init__(self, c, columns):
        super().__init__()
        self.dense = nn.Linear(columns, c.hidden_size)
        self.LayerNorm = nn.LayerNorm(c.hidden_size, c.layer_norm_eps)

    def forward(self, y, x):
        return self.LayerNorm(self.dense(y) + x)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.self = SelfAttention(c)
        self.output = DenseAndNorm(c, c.hidden_size)

    def forward(self, x, mask):
        return self.output(self.self(x, mask), x)


def gate_of(c):
    return {"geglu": nn.GELU(), "reglu": nn.ReLU()}[c.feed_forward_type]


class Gated(nn.Module):
    """The first half of the matrix is the gate. With the residual and its norm."""

    def __init__(self, c):
        super().__init__()
        self.gated_layers = nn.Linear(c.hidden_size, 2 * c.intermediate_size, bias=False)
        self.act = gate_of(c)
        self.wo = nn.Linear(c.intermediate_size, c.hidden_size)
        self.layernorm = nn.LayerNorm(c.hidden_size, c.layer_norm_eps)

    def forward(self, x):
        gate, up = self.gated_layers(x).chunk(2, -1)
        return self.layernorm(self.wo(self.act(gate) * up) + x)


class GatedLast(nn.Module):
    """The second half of the matrix is the gate."""

    def __init__(self, c):
        super().__init__()
        self.up_gated_layer = nn.Linear(c.hidden_size, 2 * c.intermediate_size, bias=False)
        self.act = gate_of(c)
        self.down_layer = nn.Linear(c.intermediate_size, c.hidden_size)

    def forward(self, x):
        up, gate = self.up_gated_layer(x).chunk(2, -1)
        return self.down_layer(up * self.act(gate))


class Intermediate(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.dense = nn.Linear(c.hidden_size, c.intermediate_size)

    def forward(self, x):
        return nn.functional.gelu(self.dense(x))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.attention = Attention(c)
        if c.query_norms:
            self.layer_norm_1, self.layer_norm_2 = (nn.LayerNorm(c.hidden_size, c.layer_norm_eps) for _ in range(2))
            self.mlp = GatedLast(c)
        elif c.feed_forward_type == "original":
            self.intermediate = Intermediate(c)
            self.output = DenseAndNorm(c, c.intermediate_size)
        else:
            self.mlp = Gated(c)

    def forward(self, x, mask):
        a = self.attention(x, mask)
        if hasattr(self, "layer_norm_1"):
            a = self.layer_norm_1(x + a)
            return self.layer_norm_2(a + self.mlp(a))
        return self.mlp(a) if hasattr(self, "mlp") else self.output(self.intermediate(a), a)


class Embeddings(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.word_embeddings = nn.Embedding(c.vocab_size, c.hidden_size)
        self.token_type_embeddings = nn.Embedding(c.type_vocab_size, c.hidden_size)
        self.LayerNorm = nn.LayerNorm(c.hidden_size, c.layer_norm_eps)

    def forward(self, ids, types):
        return self.LayerNorm(self.word_embeddings(ids) + self.token_type_embeddings(types))


class Encoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.layer = nn.ModuleList(Layer(c) for _ in range(c.num_hidden_layers))


class Pooler(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.dense = nn.Linear(c.hidden_size, c.hidden_size)

    def forward(self, x):
        return self.dense(x[:, 0]).tanh()


class JinaBertPreTrainedModel(PreTrainedModel):
    config_class = JinaBertConfig
    base_model_prefix = "bert"

    def _init_weights(self, module):  # the caller fills them
        pass


class JinaBertModel(JinaBertPreTrainedModel):
    def __init__(self, config, add_pooling_layer=True):
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.pooler = Pooler(config) if add_pooling_layer else None
        self.post_init()

    def forward(self, input_ids, attention_mask=None, token_type_ids=None, output_hidden_states=False, **ignored):
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        if token_type_ids is None:
            token_type_ids = torch.zeros_like(input_ids)
        layers = [self.embeddings(input_ids, token_type_ids)]
        for layer in self.encoder.layer:
            layers.append(layer(layers[-1], attention_mask))
        return BaseModelOutputWithPooling(last_hidden_state=layers[-1],
                                          pooler_output=None if self.pooler is None else self.pooler(layers[-1]),
                                          hidden_states=tuple(layers) if output_hidden_states else None)


class JinaBertForSequenceClassification(JinaBertPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.bert = JinaBertModel(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(self, input_ids, **inputs):
        out = self.bert(input_ids, **inputs)
        return SequenceClassifierOutput(logits=self.classifier(out.pooler_output), hidden_states=out.hidden_states)


class JinaBertForTokenClassification(JinaBertPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.bert = JinaBertModel(config, add_pooling_layer=False)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(self, input_ids, **inputs):
        out = self.bert(input_ids, **inputs)
        return TokenClassifierOutput(logits=self.classifier(out.last_hidden_state), hidden_states=out.hidden_states)


AutoConfig.register("jina_bert", JinaBertConfig)
AutoModel.register(JinaBertConfig, JinaBertModel)
AutoModelForSequenceClassification.register(JinaBertConfig, JinaBertForSequenceClassification)
AutoModelForTokenClassification.register(JinaBertConfig, JinaBertForTokenClassification)


def publish(folder):
    """config.json as jinaai publishes it: model_type "bert", and code of their own."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    repository = "jina-bert-v2-qk-post-norm" if config.pop("query_norms") else "jina-bert-implementation"
    code = f"jinaai/{repository}--"
    config |= dict(
        _name_or_path="jinaai/" + repository, model_type="bert", model_max_length=config["max_position_embeddings"],
        attention_probs_dropout_prob=0.0, hidden_dropout_prob=0.1, initializer_range=0.02, use_cache=True,
        classifier_dropout=None, gradient_checkpointing=False, attn_implementation=None,
        auto_map={"AutoConfig": code + "configuration_bert.JinaBertConfig", "AutoModel": code + "modeling_bert.JinaBertModel",
                  "AutoModelForMaskedLM": code + "modeling_bert.JinaBertForMaskedLM",
                  "AutoModelForSequenceClassification": code + "modeling_bert.JinaBertForSequenceClassification"},
        torch_dtype=config.pop("dtype"), transformers_version="4.26.0")
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def name_plainly(folder):
    """config.json without the key of this file."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    del config["query_norms"]
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
