// The texts a model is calibrated on, as token ids.
#pragma once

#include "encoder/text_tokenizer.h"
#include "mlx_encoder/calibration.h"
#include "models/batch.h"
#include "models/model.h"

namespace mlxe {

class ThreadPool;

namespace calibrate {

// Puts the built-in texts into `texts` if no texts are given.
Calibration with_default_texts(Calibration calibration);

// Number of tokens to run if calibration.limit is 0. More tokens gain little, and time grows in proportion.
int64_t most_tokens(int64_t widest_input);

// Number of tokens that the covariance of `widest_input` columns needs. With fewer tokens than columns it is
// singular; with only a few times as many, noise dominates it. docs/convert.md has figures.
int64_t wanted_tokens(int64_t widest_input);

// Smallest share of built-in text among the tokens, if it is mixed in. docs/convert.md has figures.
inline constexpr double kBuiltInShare = 1.0 / 3;

// Takes texts spread evenly over all given: calibration.limit of them, or what most_tokens() hold. The
// built-in text fills the rest and has at least its share, without the lines the vocabulary does not cover. A
// pair is two texts for a model without classifier, and a built-in one also where no pair was given. Warns of
// texts that will hardly do, with figures: empty ones (left out), repeated ones, numbers or labels instead of
// texts, single ones for a model of pairs, too few tokens, truncated ones, and what the vocabulary does not
// know or spells letter by letter. Errors: usage (no tokens in what was given), format (a text is not UTF-8).
Batch tokenize(const Calibration& calibration, const Model& model, const TextTokenizer& tokenizer,
               int64_t widest_input, ThreadPool& pool, const Warning& warning);

}  // namespace calibrate
}  // namespace mlxe
