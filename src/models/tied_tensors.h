// Tensors transformers makes one with another when it loads a model, whatever the file says of them.
#pragma once

#include <string_view>
#include <utility>

namespace mlxe {

// Canonical names {copy, what it is a copy of}: masked-language-model outputs of BERT, RoBERTa, DistilBERT and ALBERT, and
// the output of T5 (`_tied_weights_keys`). The weights are tied unless config.json says "tie_word_embeddings": false.
inline constexpr std::pair<std::string_view, std::string_view> kTiedWeights[] = {
    {"cls.predictions.decoder.weight", "embeddings.word_embeddings.weight"},
    {"lm_head.decoder.weight", "embeddings.word_embeddings.weight"},
    {"vocab_projector.weight", "embeddings.word_embeddings.weight"},
    {"lm_head.weight", "shared.weight"},
    {"predictions.decoder.weight", "embeddings.word_embeddings.weight"},
};
// The same of Qwen3 and Gemma 3, which are tied only if config.json says "tie_word_embeddings": true.
inline constexpr std::pair<std::string_view, std::string_view> kWeightsTiedWhereSaid[] = {
    {"lm_head.weight", "embed_tokens.weight"},
};
// One parameter under two names, whatever config.json says: biases of outputs, T5's words.
inline constexpr std::pair<std::string_view, std::string_view> kTiedAlways[] = {
    {"cls.predictions.decoder.bias", "cls.predictions.bias"},
    {"lm_head.decoder.bias", "lm_head.bias"},
    {"encoder.embed_tokens.weight", "shared.weight"},
    {"decoder.embed_tokens.weight", "shared.weight"},
    {"predictions.decoder.bias", "predictions.bias"},
};

}  // namespace mlxe
