// BERT, RoBERTa and ELECTRA.
#pragma once

#include "models/activation.h"
#include "models/plan.h"

namespace mlxe {

struct BertConfig {
  int64_t vocab_size, hidden_size, layers, heads, intermediate_size, max_positions, type_vocab_size;
  float layer_norm_epsilon;
  Activation activation;
  int64_t embedding_size = 0;  // of the tables, ELECTRA's and ALBERT's; 0: hidden_size
};

// Mirrors transformers/models/bert/modeling_bert.py (BertModel without its pooler, which is a head), and
// models/electra/modeling_electra.py: where tables are narrower, a projection follows their norm.
Plan bert(const BertConfig& config);

// Mirrors transformers/models/roberta/modeling_roberta.py and xlm_roberta (the same computation): BERT whose positions
// start after the padding id.
Plan roberta(const BertConfig& config, int32_t pad_token_id);

}  // namespace mlxe
