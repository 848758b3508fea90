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

// Takes calibration.limit texts, or as many as most_tokens() hold, spread evenly over all given texts. Built-in texts,
// if mixed in, fill the rest and have at least kBuiltInShare; built-in lines that the vocabulary does not cover are
// left out. A pair counts as two texts if the model reads no pairs. A built-in pair also does if no pair was given.
// Warns, with figures, of unsuitable texts: empty texts (left out), repeated texts, numbers or labels, single texts
// for a model of pairs, too few tokens, truncated texts, and texts that the vocabulary does not know or splits into
// letters. Errors: usage (no tokens in the given texts), format (a text is not UTF-8).
Batch tokenize(const Calibration& calibration, const Model& model, const TextTokenizer& tokenizer,
               int64_t widest_input, ThreadPool& pool, const Warning& warning);

}  // namespace calibrate
}  // namespace mlxe
