// Mirrors transformers/models/distilbert/modeling_distilbert.py (DistilBertModel).
#pragma once

#include <array>
#include <string>
#include <vector>

#include "models/ops.h"
#include "models/self_attention.h"

namespace mlxe {

struct DistilBertLayer {
  Linear q_lin, k_lin, v_lin, out_lin;
  LayerNorm sa_layer_norm;
  Linear lin1, lin2;
  LayerNorm output_layer_norm;
};

struct DistilBertConfig {
  int64_t vocab_size, dim, layers, heads, hidden_dim, max_positions;
  Activation activation;
};

class DistilBert {
 public:
  explicit DistilBert(const DistilBertConfig& config)
      : config_(config),
        word_{.rows = config.vocab_size, .columns = config.dim},
        position_{.rows = config.max_positions, .columns = config.dim} {
    const int64_t d = config.dim, f = config.hidden_dim;
    const Linear square{.in = d, .out = d};
    layers_.assign(config.layers,
                   {square, square, square, square, kNorm, {.in = d, .out = f}, {.in = f, .out = d}, kNorm});
  }

  void visit(ParameterVisitor& v) {
    v.embedding("embeddings.word_embeddings", word_);
    v.embedding("embeddings.position_embeddings", position_);
    v.layer_norm("embeddings.LayerNorm", embedding_norm_, config_.dim);
    for (size_t i = 0; i < layers_.size(); ++i) {
      const std::string p = "transformer.layer." + std::to_string(i);
      DistilBertLayer& l = layers_[i];
      v.linear(p + ".attention.q_lin", l.q_lin);
      v.linear(p + ".attention.k_lin", l.k_lin);
      v.linear(p + ".attention.v_lin", l.v_lin);
      v.linear(p + ".attention.out_lin", l.out_lin);
      v.layer_norm(p + ".sa_layer_norm", l.sa_layer_norm, config_.dim);
      v.linear(p + ".ffn.lin1", l.lin1);
      v.linear(p + ".ffn.lin2", l.lin2);
      v.layer_norm(p + ".output_layer_norm", l.output_layer_norm, config_.dim);
    }
  }

  template <EncoderOps E>
  typename E::Tensor embed(E& e, const Batch& batch) const {
    const std::vector<int32_t> positions = batch.positions();
    const std::array lookups{Lookup{word_, batch.ids}, Lookup{position_, positions}};
    return e.layer_norm(e.embed(lookups), embedding_norm_);
  }

  template <EncoderOps E>
  typename E::Tensor layer(E& e, int64_t i, const typename E::Tensor& x, const Batch& batch,
                           Kept kept) const {
    const DistilBertLayer& l = layers_[i];
    const auto [attended, residual] =
        self_attention(e, x, {l.q_lin, l.k_lin, l.v_lin}, {.heads = config_.heads}, batch, kept);
    const auto a = e.add_layer_norm(e.linear(attended, l.out_lin), residual, l.sa_layer_norm);
    return e.add_layer_norm(e.feed_forward(a, l.lin1, config_.activation, l.lin2), a, l.output_layer_norm);
  }

  int64_t layers() const { return config_.layers; }
  int64_t hidden_size() const { return config_.dim; }
  int64_t vocab_size() const { return config_.vocab_size; }
  int64_t token_types() const { return 0; }
  int64_t max_tokens() const { return config_.max_positions; }

 private:
  static constexpr LayerNorm kNorm{.epsilon = 1e-12f};  // fixed in the original, not a config key

  DistilBertConfig config_;
  Embedding word_, position_;
  LayerNorm embedding_norm_ = kNorm;
  std::vector<DistilBertLayer> layers_;
};

}  // namespace mlxe
