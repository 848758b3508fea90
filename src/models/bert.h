// Mirrors transformers/models/bert/modeling_bert.py (BertModel without its pooler, which is a head).
#pragma once

#include <array>
#include <string>
#include <vector>

#include "models/ops.h"
#include "models/self_attention.h"

namespace mlxe {

struct BertLayer {
  Linear query, key, value, attention_out;
  LayerNorm attention_norm;
  Linear intermediate, output;
  LayerNorm output_norm;
};

struct BertConfig {
  int64_t vocab_size, hidden_size, layers, heads, intermediate_size, max_positions, type_vocab_size;
  float layer_norm_epsilon;
  Activation activation;
};

class Bert {
 public:
  explicit Bert(const BertConfig& config)
      : config_(config),
        word_{.rows = config.vocab_size, .columns = config.hidden_size},
        position_{.rows = config.max_positions, .columns = config.hidden_size},
        token_type_{.rows = config.type_vocab_size, .columns = config.hidden_size},
        embedding_norm_{.epsilon = config.layer_norm_epsilon} {
    const int64_t d = config.hidden_size, f = config.intermediate_size;
    const Linear square{.in = d, .out = d};
    const LayerNorm norm{.epsilon = config.layer_norm_epsilon};
    layers_.assign(config.layers,
                   {square, square, square, square, norm, {.in = d, .out = f}, {.in = f, .out = d}, norm});
  }

  void visit(ParameterVisitor& v) {
    v.embedding("embeddings.word_embeddings", word_);
    v.embedding("embeddings.position_embeddings", position_);
    v.embedding("embeddings.token_type_embeddings", token_type_, Role::token_type_embedding);
    v.layer_norm("embeddings.LayerNorm", embedding_norm_, config_.hidden_size);
    for (size_t i = 0; i < layers_.size(); ++i) {
      const std::string p = "encoder.layer." + std::to_string(i);
      BertLayer& l = layers_[i];
      v.linear(p + ".attention.self.query", l.query);
      v.linear(p + ".attention.self.key", l.key);
      v.linear(p + ".attention.self.value", l.value);
      v.linear(p + ".attention.output.dense", l.attention_out);
      v.layer_norm(p + ".attention.output.LayerNorm", l.attention_norm, config_.hidden_size);
      v.linear(p + ".intermediate.dense", l.intermediate);
      v.linear(p + ".output.dense", l.output);
      v.layer_norm(p + ".output.LayerNorm", l.output_norm, config_.hidden_size);
    }
  }

  template <EncoderOps E>
  typename E::Tensor embed(E& e, const Batch& batch) const {
    return embed_at(e, batch, batch.positions());
  }

  template <EncoderOps E>
  typename E::Tensor layer(E& e, int64_t i, const typename E::Tensor& x, const Batch& batch,
                           Kept kept) const {
    const BertLayer& l = layers_[i];
    const auto [attended, residual] =
        self_attention(e, x, {l.query, l.key, l.value}, {.heads = config_.heads}, batch, kept);
    const auto a = e.add_layer_norm(e.linear(attended, l.attention_out), residual, l.attention_norm);
    return e.add_layer_norm(e.feed_forward(a, l.intermediate, config_.activation, l.output), a,
                            l.output_norm);
  }

  int64_t layers() const { return config_.layers; }
  int64_t hidden_size() const { return config_.hidden_size; }
  int64_t vocab_size() const { return config_.vocab_size; }
  int64_t token_types() const { return config_.type_vocab_size; }
  int64_t max_tokens() const { return config_.max_positions; }

 protected:
  template <EncoderOps E>
  typename E::Tensor embed_at(E& e, const Batch& batch, const std::vector<int32_t>& positions) const {
    const std::array lookups{Lookup{word_, batch.ids}, Lookup{token_type_, batch.token_types},
                             Lookup{position_, positions}};
    return e.layer_norm(e.embed(lookups), embedding_norm_);
  }

 private:
  BertConfig config_;
  Embedding word_, position_, token_type_;
  LayerNorm embedding_norm_;
  std::vector<BertLayer> layers_;
};

}  // namespace mlxe
