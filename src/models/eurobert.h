#pragma once

#include <cstdint>

#include "format/config.h"
#include "models/heads.h"
#include "models/model.h"

namespace mlxe {

struct EuroBertConfig {
  int64_t vocab_size, hidden_size, intermediate_size, max_positions, layers;
  int64_t head_size;  // columns of a head; the heads need not be as wide together as the hidden state
  AttentionSpec attention;
  float norm_epsilon;
  Activation activation;
  Bias attention_bias, mlp_bias;
};

// Reads the keys of transformers 5 and those of the models' own code ("rope_theta"). Errors: format, unsupported (a
// scaling of rotary positions, foreign code).
EuroBertConfig read_eurobert_config(const Config& config);

// Mirrors transformers/models/eurobert/modeling_eurobert.py (EuroBertModel): Llama's layers, seen both ways.
Plan eurobert(const EuroBertConfig& config);

// For the registry.
Model make_eurobert(const Config& config);
SequenceClassifier eurobert_classifier(const Config& config);

}  // namespace mlxe
