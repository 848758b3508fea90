// The texts a model is calibrated on, as token ids.
#pragma once

#include "encoder/model_loader.h"
#include "mlx_encoder/calibration.h"
#include "models/batch.h"
#include "tokenizer/tokenizer.h"

namespace mlxe {

class ThreadPool;

namespace calibrate {

// With the texts spelled out where the built-in one stands alone.
Calibration resolved(Calibration calibration);

// What is run unless calibration.limit says how many texts: more gain a little, and take time in proportion.
int64_t most_tokens(int64_t widest_input);

// Of a linear with `widest_input` columns, what its covariance should be made of: with fewer tokens than
// columns it is singular, with a few times as many more chance than knowledge. docs/convert.md has figures.
int64_t wanted_tokens(int64_t widest_input);

// Of what is run, the least that is built-in text where it is mixed in. docs/convert.md has figures.
inline constexpr double kBuiltInShare = 1.0 / 3;

// Takes texts spread evenly over all given: calibration.limit of them, or what most_tokens() hold. The
// built-in text fills the rest and has at least its share, without the lines the vocabulary does not cover. A
// pair is two texts for a model without classifier, and a built-in one also where no pair was given. Warns of
// texts that will hardly do, with figures: empty ones (left out), repeated ones, numbers or labels instead of
// texts, single ones for a model of pairs, too few tokens, truncated ones, and what the vocabulary does not
// know or spells letter by letter. Errors: usage (no tokens in what was given), format (a text is not UTF-8).
Batch tokenize(const Calibration& calibration, const LoadedModel& model, const Tokenizer& tokenizer,
               int64_t widest_input, ThreadPool& pool, const Warning& warning);

}  // namespace calibrate
}  // namespace mlxe
