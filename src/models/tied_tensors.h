// Tensors transformers makes one with another when it loads a model, whatever the file says of them.
#pragma once

#include <string_view>
#include <utility>

namespace mlxe {

// Canonical names {copy, what it is a copy of}: masked-language-model outputs of BERT, RoBERTa, DistilBERT and
// ALBERT (`_tied_weights_keys`). The weights are tied unless config.json says "tie_word_embeddings": false; the
// biases are one parameter under two names always.
inline constexpr std::pair<std::string_view, std::string_view> kTiedWeights[] = {
    {"cls.predictions.decoder.weight", "embeddings.word_embeddings.weight"},
    {"lm_head.decoder.weight", "embeddings.word_embeddings.weight"},
    {"vocab_projector.weight", "embeddings.word_embeddings.weight"},
    {"predictions.decoder.weight", "embeddings.word_embeddings.weight"},
};
// The same of Qwen3, which are tied only if config.json says "tie_word_embeddings": true.
inline constexpr std::pair<std::string_view, std::string_view> kWeightsTiedWhereSaid[] = {
    {"lm_head.weight", "embed_tokens.weight"},
};
inline constexpr std::pair<std::string_view, std::string_view> kTiedBiases[] = {
    {"cls.predictions.decoder.bias", "cls.predictions.bias"},
    {"lm_head.decoder.bias", "lm_head.bias"},
    {"predictions.decoder.bias", "predictions.bias"},
};

}  // namespace mlxe
