// The texts a model is calibrated on, as token ids.
#pragma once

#include "encoder/model_loader.h"
#include "mlx_encoder/convert.h"
#include "models/batch.h"
#include "tokenizer/tokenizer.h"

namespace mlxe {

class ThreadPool;

namespace calibrate {

// What is run: of tokens that differ from each other more gain little.
inline constexpr int64_t kMostTokens = 32'768;
// Below this a covariance of a few hundred columns is more chance than knowledge.
inline constexpr int64_t kWantedTokens = 4'096;

// Takes texts spread evenly over all given: calibration.limit of them, and no more than kMostTokens hold. A
// pair is two texts for a model without classifier. Warns of few tokens, truncated texts, and texts in a
// language the vocabulary does not cover. Errors: usage (no tokens), format (a text is not UTF-8).
Batch tokenize(const Calibration& calibration, const LoadedModel& model, const Tokenizer& tokenizer,
               ThreadPool& pool, const Warning& warning);

}  // namespace calibrate
}  // namespace mlxe
