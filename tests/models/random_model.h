// Tiny models with random weights stored in any scheme, and random ragged batches.
#pragma once

#include <cmath>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/half.h"
#include "format/stored_weight.h"
#include "mlx_encoder/quantize.h"
#include "models/albert.h"
#include "models/bert.h"
#include "models/deberta_v2.h"
#include "models/distilbert.h"
#include "models/gte.h"
#include "models/heads.h"
#include "models/jina_bert.h"
#include "models/llama.h"
#include "models/model.h"
#include "models/modernbert.h"
#include "models/mpnet.h"

namespace mlxe::test {

inline constexpr int64_t kVocabulary = 96, kHidden = 64, kFeedForward = 128, kHeads = 4, kPositions = 160;

enum class Kind {
  bert,
  distilbert,
  roberta,
  albert,
  mpnet,
  modernbert,
  deberta_v2,
  qwen3,
  gemma3,
  gte,
  jina_bert
};

inline Model tiny_model(Kind kind, Activation activation = Activation::gelu_erf) {
  const BertConfig bert_config{.vocab_size = kVocabulary,
                               .hidden_size = kHidden,
                               .layers = 2,
                               .heads = kHeads,
                               .intermediate_size = kFeedForward,
                               .max_positions = kPositions,
                               .type_vocab_size = 2,
                               .layer_norm_epsilon = 1e-12f,
                               .activation = activation};
  const DistilBertConfig distilbert_config{.vocab_size = kVocabulary,
                                           .dim = kHidden,
                                           .layers = 2,
                                           .heads = kHeads,
                                           .hidden_dim = kFeedForward,
                                           .max_positions = kPositions,
                                           .activation = activation};
  const ModernBertConfig modernbert_config{
      .vocab_size = kVocabulary,
      .hidden_size = kHidden,
      .heads = kHeads,
      .intermediate_size = kFeedForward,
      .max_positions = kPositions,
      .layers = {{.heads = kHeads, .rotary = Rotary{160000}},
                 {.heads = kHeads, .rotary = Rotary{10000}, .window = 7}},
      .norm_epsilon = 1e-5f,
      .activation = activation,
      .norm_bias = Bias::no,
      .attention_bias = Bias::no,
      .mlp_bias = Bias::no};
  // Distances from 9 on share buckets, from 21 on the last one.
  const DebertaV2Config deberta_config{
      .vocab_size = kVocabulary,
      .embedding_size = kHidden,
      .hidden_size = kHidden,
      .layers = 2,
      .intermediate_size = kFeedForward,
      .max_positions = kPositions,
      .type_vocab_size = 0,
      .position_table = false,
      .attention = {.heads = kHeads,
                    .scale = 1 / std::sqrt(3.0f * kHidden / kHeads),
                    .disentangled = Disentangled{.span = 16,
                                                 .buckets = 16,
                                                 .max_distance = 21,
                                                 .content_to_position = true,
                                                 .position_to_content = true}},
      .projections = DebertaProjections::shared,
      .norm_positions = true,
      .convolution = DebertaV2Config::Convolution{.kernel = 3, .groups = 2, .activation = Activation::tanh},
      .layer_norm_epsilon = 1e-7f,
      .activation = activation};
  const LayerNorm rms{.epsilon = 1e-6f, .has_bias = Bias::no, .kind = NormKind::rms};
  AttentionSpec decoder{.heads = kHeads,
                        .kv_heads = kHeads / 2,
                        .rotary = Rotary{1e6f},
                        .norms = HeadNorms{rms, rms},
                        .causal = true};
  LlamaConfig qwen3_config{.vocab_size = kVocabulary,
                           .hidden_size = kHidden,
                           .intermediate_size = kFeedForward,
                           .max_positions = kPositions,
                           .head_size = 32,
                           .layers = {decoder, decoder},
                           .norm_epsilon = 1e-6f,
                           .activation = activation,
                           .attention_bias = Bias::yes};
  qwen3_config.layers[1].window = 7;
  const LayerNorm one_plus{.epsilon = 1e-6f, .has_bias = Bias::no, .kind = NormKind::rms_one_plus};
  const AttentionSpec both_ways{.heads = kHeads,
                                .kv_heads = kHeads / 2,
                                .rotary = Rotary{.base = 1e6f, .scale = 0.125f},
                                .norms = HeadNorms{one_plus, one_plus},
                                .scale = 0.2f};
  LlamaConfig gemma3_config{.vocab_size = kVocabulary,
                            .hidden_size = kHidden,
                            .intermediate_size = kFeedForward,
                            .max_positions = kPositions,
                            .head_size = 32,
                            .layers = {both_ways, both_ways},
                            .norm_epsilon = 1e-6f,
                            .norm = NormKind::rms_one_plus,
                            .norm_places = NormPlaces::around,
                            .embedding_scale = std::sqrt(static_cast<float>(kHidden)),
                            .activation = activation,
                            .attention_bias = Bias::no};
  gemma3_config.layers[0].window = 7;
  const GteConfig gte_config{.vocab_size = kVocabulary,
                             .type_vocab_size = 2,
                             .hidden_size = kHidden,
                             .intermediate_size = kFeedForward,
                             .max_positions = kPositions,
                             .layers = 2,
                             .attention = {.heads = kHeads, .rotary = Rotary{.base = 40000, .scale = 0.9f}},
                             .layer_norm_epsilon = 1e-12f,
                             .activation = activation};
  const JinaBertConfig jina_config{.vocab_size = kVocabulary,
                                   .type_vocab_size = 2,
                                   .hidden_size = kHidden,
                                   .intermediate_size = kFeedForward,
                                   .max_positions = kPositions,
                                   .layers = 2,
                                   .heads = kHeads,
                                   .layer_norm_epsilon = 1e-12f,
                                   .gated = true,
                                   .activation = activation,
                                   .query_norms = true};
  BertConfig albert_config = bert_config;  // two layers of one layer's weights
  albert_config.embedding_size = 2 * kHidden;
  Model model{.model_type = "tiny",
              .plan = kind == Kind::distilbert   ? mlxe::distilbert(distilbert_config)
                      : kind == Kind::roberta    ? mlxe::roberta(bert_config, 1)
                      : kind == Kind::albert     ? mlxe::albert(albert_config, {})
                      : kind == Kind::mpnet      ? mlxe::mpnet(bert_config, 32)
                      : kind == Kind::modernbert ? mlxe::modernbert(modernbert_config)
                      : kind == Kind::deberta_v2 ? mlxe::deberta_v2(deberta_config)
                      : kind == Kind::qwen3      ? mlxe::llama(qwen3_config)
                      : kind == Kind::gemma3     ? mlxe::llama(gemma3_config)
                      : kind == Kind::gte        ? mlxe::gte(gte_config)
                      : kind == Kind::jina_bert  ? mlxe::jina_bert(jina_config)
                                                 : mlxe::bert(bert_config),
              .labels = {"a", "b", "c"}};
  PlanBuilder heads(std::move(model.plan));
  add_pooler(heads);
  add_classifier(heads, {.transform = {"classifier.dense", Activation::relu}, .out = "classifier.out_proj"},
                 3);
  const DenseSpec dense{
      .folder = "2_Dense", .in = 2 * kHidden, .out = kHidden, .activation = "tanh", .bias = StoredWeight{}};
  add_sentence_pipeline(
      heads, std::vector<SentenceModuleSpec>{PoolingSpec{{PoolingKind::mean, PoolingKind::cls}}, dense,
                                             NormalizeSpec{}});
  model.plan = heads.finish();
  return model;
}

// Stores every tensor of a model as a checkpoint would, with random values of the size of trained ones.
// Matrices and embeddings have `scheme`; other tensors have scheme.dtype.
class RandomWeights {
 public:
  explicit RandomWeights(const Scheme& scheme, unsigned seed = 1) : scheme_(scheme), random_(seed) {}

  // The span lives as long as this object.
  const StoredWeight& store(const Parameter& spec) {
    const int64_t count = element_count(spec.shape);
    const double spread = spec.role == Role::linear || spec.role == Role::classifier
                              ? 1.5 / std::sqrt(static_cast<double>(spec.shape.back()))
                          : spec.role == Role::convolution
                              ? 1.5 / std::sqrt(static_cast<double>(count / spec.shape.front()))
                          : spec.role == Role::bias ? 0.1
                          : spec.role == Role::norm ? 0.2
                                                    : 0.5;
    std::normal_distribution<float> normal(0, static_cast<float>(spread));
    std::vector<float> values(static_cast<size_t>(count));
    const bool gain = spec.role == Role::norm && spec.name.ends_with("weight");
    for (float& v : values) v = normal(random_) + (gain ? 1.0f : 0.0f);

    const bool matrix = spec.role == Role::linear || spec.role == Role::embedding;
    const Scheme scheme =
        matrix ? scheme_ : Scheme{.mode = Mode::none, .bits = 0, .group_size = 0, .dtype = scheme_.dtype};
    StoredWeight& stored = weights_.emplace_back();
    stored.name = spec.name;
    stored.shape = spec.shape;
    stored.dtype = scheme.mode == Mode::fake ? Dtype::f32 : scheme.dtype;
    stored.scheme = scheme;
    const int64_t columns = spec.shape.back();
    const QuantizedMatrix packed =
        quantize(std::as_bytes(std::span(values)), Dtype::f32, count / columns, columns, scheme, 1);
    stored.codes = keep(packed.codes);
    stored.scales = keep(packed.scales);
    stored.biases = keep(packed.biases);
    return stored;
  }

 private:
  // Copies the bytes to an unaligned address, as in a mapped file.
  std::span<const std::byte> keep(const std::vector<std::byte>& bytes) {
    std::vector<std::byte>& kept = storage_.emplace_back(bytes.size() + 1);
    if (!bytes.empty()) std::memcpy(kept.data() + 1, bytes.data(), bytes.size());
    return std::span(kept).subspan(1);
  }

  Scheme scheme_;
  std::mt19937 random_;
  std::deque<StoredWeight> weights_;
  std::deque<std::vector<std::byte>> storage_;
};

// Gives every tensor of a model to `store`, which returns the handle.
template <class Store>
void fill(Model& model, Store store) {
  for (Parameter& p : model.plan.parameters) p.handle = store(std::as_const(p));
}

inline Batch random_batch(const std::vector<int>& lengths, unsigned seed = 7) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int32_t> id(2, kVocabulary - 1), type(0, 1);
  Batch batch;
  for (const int length : lengths) {
    std::vector<int32_t> ids, types;
    for (int i = 0; i < length; ++i) {
      ids.push_back(id(random));
      types.push_back(type(random));
    }
    batch.append(ids, types);
  }
  return batch;
}

}  // namespace mlxe::test
