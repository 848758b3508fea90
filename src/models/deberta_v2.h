#pragma once

#include <cstdint>
#include <optional>

#include "format/config.h"
#include "models/activation.h"
#include "models/heads.h"
#include "models/model.h"

namespace mlxe {

// How queries, keys and values come to be.
enum class DebertaProjections {
  fused,  // v1: one matrix in_proj, whose rows are those of each head's query, key and value in turn; for positions
          // pos_proj and pos_q_proj
  own,     // three matrices; for positions pos_key_proj and pos_query_proj
  shared,  // three matrices; for positions those of keys and queries
};

struct DebertaV2Config {
  struct Convolution {  // of the embeddings, added to the output of the first layer
    int64_t kernel, groups;
    Activation activation;
  };
  int64_t vocab_size, embedding_size, hidden_size, layers, intermediate_size, max_positions;
  int64_t type_vocab_size;  // 0: no such table
  bool position_table;
  AttentionSpec attention;
  DebertaProjections projections;
  bool norm_positions;
  std::optional<Convolution> convolution;
  float layer_norm_epsilon;
  Activation activation;
};

// Absent keys have the values of DebertaV2Config and of modeling_deberta_v2.py in transformers 4.57. Errors: format,
// unsupported (a kind of positions or a size that is not computed).
DebertaV2Config read_deberta_v2_config(const Config& config);
// The same of DebertaConfig and modeling_deberta.py.
DebertaV2Config read_deberta_config(const Config& config);

// Mirrors transformers/models/deberta_v2/modeling_deberta_v2.py (DebertaV2Model), which DeBERTa-v3 has too, and
// models/deberta/modeling_deberta.py (DebertaModel).
Plan deberta_v2(const DebertaV2Config& config);

// For the registry. The head's first part is ContextPooler.
Model make_deberta_v2(const Config& config);
Model make_deberta(const Config& config);
SequenceClassifier deberta_v2_classifier(const Config& config);

}  // namespace mlxe
