#pragma once

#include "models/plan.h"

namespace mlxe {

// The table of sentence-transformers' StaticEmbedding: a token's vector is its row. (Its mean over a text is the pooling
// that read_sentence_modules adds.)
Plan static_embedding(int64_t vocab_size, int64_t width);

}  // namespace mlxe
