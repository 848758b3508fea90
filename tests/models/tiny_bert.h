// A small BERT with random weights, stored in any scheme: for the engines, and in double precision for the
// naive forward pass.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <random>
#include <utility>
#include <vector>

#include "mlx_encoder/quantize.h"
#include "models/bert.h"
#include "models/engine.h"
#include "models/heads.h"
#include "models/naive_forward.h"
#include "models/pipeline.h"
#include "quant/matrix.h"

namespace mlxe::test {

struct TinyBert {
  BertConfig config;
  Model model;
  naive::Weights exact;  // the dequantized stored weights

  explicit TinyBert(const BertConfig& c, const Scheme& scheme, uint32_t seed = 1)
      : config(c), model{.model_type = "bert", .plan = mlxe::bert(c)}, random_(seed) {
    PlanBuilder heads(std::move(model.plan));
    add_pooler(heads);
    add_classifier(heads, {.transform = {"head.dense", Activation::relu}, .out = "head.out"}, 3);
    model.plan = heads.finish();
    for (const Parameter& p : model.parameters()) fill(p, scheme);
  }

  void set_pipeline(const std::vector<SentenceModuleSpec>& modules) { test::set_pipeline(model, modules); }

  void add_to(Engine& engine) {
    for (size_t i = 0; i < stored_.size(); ++i)
      model.plan.parameters[i].handle = engine.add(stored_[i].weight);
  }

  StoredWeight& stored(const std::string& name) {
    for (Stored& s : stored_)
      if (s.weight.name == name) return s.weight;
    ADD_FAILURE() << "no weight " << name;
    return stored_.front().weight;
  }

  naive::Bert naive() const { return {exact, config.layers, config.heads, config.layer_norm_epsilon}; }

 private:
  struct Stored {
    QuantizedMatrix matrix;
    StoredWeight weight;
  };

  void fill(const Parameter& spec, const Scheme& scheme) {
    const bool is_matrix = spec.shape.size() == 2;
    const int64_t rows = is_matrix ? spec.shape[0] : 1, columns = spec.shape.back();
    const bool takes_scheme = spec.role == Role::linear || spec.role == Role::embedding;
    // Deviations like those of a trained model: activations stay near 1, where softmax and GELU are
    // nonlinear.
    const float mean = spec.role == Role::norm && spec.name.ends_with("weight") ? 1.0f : 0.0f;
    const float deviation = spec.role == Role::linear || spec.role == Role::classifier
                                ? 1.5f / std::sqrt(static_cast<float>(columns))
                                : 0.3f;
    std::normal_distribution<float> normal(mean, deviation);
    std::vector<float> values(static_cast<size_t>(rows * columns));
    for (float& v : values) v = normal(random_);

    Stored& s = stored_.emplace_back();
    const Scheme used =
        takes_scheme ? scheme : Scheme{.dtype = scheme.mode == Mode::none ? scheme.dtype : Dtype::f16};
    s.matrix = quantize(std::as_bytes(std::span(values)), Dtype::f32, rows, columns, used, 1);
    s.weight = {spec.name, used, spec.shape, used.dtype, s.matrix.codes, s.matrix.scales, s.matrix.biases};
    naive::Mat& reference = exact[spec.name] = naive::Mat(rows, columns);
    const std::vector<float> seen = dequantize(s.matrix);
    std::copy(seen.begin(), seen.end(), reference.v.begin());
  }

  std::mt19937 random_;
  std::deque<Stored> stored_;
};

// Texts of the given lengths with random ids and types.
inline Batch random_batch(const BertConfig& config, const std::vector<int64_t>& lengths, uint32_t seed = 7) {
  std::mt19937 random(seed);
  Batch batch;
  for (int64_t n : lengths) {
    std::vector<int32_t> ids, types;
    for (int64_t i = 0; i < n; ++i) {
      ids.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(config.vocab_size)));
      types.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(config.type_vocab_size)));
    }
    batch.append(ids, types);
  }
  return batch;
}

// Text b of a batch on its own.
inline Batch single(const Batch& batch, int64_t b) {
  const auto i = static_cast<size_t>(b);
  const auto first = static_cast<size_t>(batch.offsets[i]), n = static_cast<size_t>(batch.length(b));
  Batch one;
  one.append(std::span(batch.ids).subspan(first, n), std::span(batch.token_types).subspan(first, n),
             batch.pool_from[i]);
  return one;
}

}  // namespace mlxe::test
