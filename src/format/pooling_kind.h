// The ways in which sentence-transformers pools a text's tokens into one vector.
#pragma once

namespace mlxe {

// In the order in which sentence-transformers concatenates them if a config sets several flags.
enum class PoolingKind { cls, max, mean, mean_sqrt_len, weighted_mean, last_token };

// SPLADE: the weights of a text's terms, which are the tokens of the vocabulary, from the logits that a masked language
// model gives for each token of the text. A logit x becomes log(1 + max(x, 0)), if `twice` the logarithm of one more
// than that. The weight of a term is the largest of them (SPLADE v2 and later) or their sum.
enum class TermPooling { max, sum };
struct TermWeighting {
  TermPooling pooling = TermPooling::max;
  bool twice = false;
};

}  // namespace mlxe
