#include "models/tied_tensors.h"

#include <span>
#include <string_view>
#include <utility>

namespace mlxe {
namespace {

using Pair = std::pair<std::string_view, std::string_view>;  // canonical names: copy, what it is a copy of

// Outputs of masked language models, of T5 and of BART
// (`_tied_weights_keys`). The weights are tied unless config.json says "tie_word_embeddings": false.
constexpr Pair kTiedWeights[] = {
    {"cls.predictions.decoder.weight", "embeddings.word_embeddings.weight"},
    {"lm_head.decoder.weight", "embeddings.word_embeddings.weight"},
    {"vocab_projector.weight", "embeddings.word_embeddings.weight"},
    {"lm_head.weight", "shared.weight"},
    {"predictions.decoder.weight", "embeddings.word_embeddings.weight"},
    {"generator_lm_head.weight", "embeddings.word_embeddings.weight"},
    {"decoder.weight", "embeddings.tok_embeddings.weight"},
};
// The same of Qwen3 and Gemma 3, which are tied only if config.json says "tie_word_embeddings": true.
constexpr Pair kWeightsTiedWhereSaid[] = {
    {"lm_head.weight", "embed_tokens.weight"},
};
// One parameter under two names, whatever config.json says: biases of outputs, T5's words.
constexpr Pair kTiedAlways[] = {
    {"cls.predictions.decoder.bias", "cls.predictions.bias"},
    {"lm_head.decoder.bias", "lm_head.bias"},
    {"encoder.embed_tokens.weight", "shared.weight"},
    {"decoder.embed_tokens.weight", "shared.weight"},
    {"predictions.decoder.bias", "predictions.bias"},
};

}  // namespace

bool ties_words(const Config& config) {
  return config.get_or<bool>("tie_word_embeddings", true);
}

const CheckpointTensor* tied_to(const Checkpoint& checkpoint, const CheckpointTensor& tensor) {
  const auto find_in = [&](std::span<const Pair> table) -> const CheckpointTensor* {
    for (const auto& [copy, original] : table) {
      if (tensor.name != copy) continue;
      const CheckpointTensor* other = checkpoint.find(original);
      if (other && checkpoint.stored(original).shape == checkpoint.stored(copy).shape) return other;
    }
    return nullptr;
  };
  if (const CheckpointTensor* same = find_in(kTiedAlways)) return same;
  const Config& config = checkpoint.config();
  if (config.get_or<bool>("tie_word_embeddings", false))
    if (const CheckpointTensor* weight = find_in(kWeightsTiedWhereSaid)) return weight;
  return ties_words(config) ? find_in(kTiedWeights) : nullptr;
}

}  // namespace mlxe
