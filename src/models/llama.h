// Layers as in Llama, which several families share: Qwen3, Gemma 3, EuroBERT.
#pragma once

#include <cstdint>
#include <vector>

#include "models/activation.h"
#include "models/plan.h"

namespace mlxe {

// Where a layer's norms are: before attention and feed-forward, or around each of them.
enum class NormPlaces { before, around };

struct LlamaConfig {
  int64_t vocab_size, hidden_size, intermediate_size, max_positions;
  int64_t head_size;                  // columns of each head; heads * head_size may differ from hidden_size
  std::vector<AttentionSpec> layers;  // the attention of each layer
  float norm_epsilon;
  NormKind norm = NormKind::rms;
  NormPlaces norm_places = NormPlaces::before;
  float embedding_scale = 1;  // what rows of the word embeddings are multiplied with
  Activation activation;
  Bias attention_bias;
  Bias mlp_bias = Bias::no;
};

// Mirrors transformers/models/llama/modeling_llama.py (LlamaModel), with the attention that `config` states.
Plan llama(const LlamaConfig& config);

}  // namespace mlxe
