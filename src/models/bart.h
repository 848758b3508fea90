// BART and mBART: an encoder, and a decoder that reads the same text again, one token behind, and the encoder's result.
#pragma once

#include <cstdint>

#include "format/config.h"
#include "models/activation.h"
#include "models/model.h"

namespace mlxe {

// Of the encoder or the decoder.
struct BartStack {
  int64_t layers = 0, heads = 0, feed_forward_width = 0;
};

// Where the norms are, and what the decoder reads first.
enum class BartKind {
  bart,  // a norm after each sum; a token of its own first
  mbart,  // a norm before each part of a layer, and one after the last layer; the text's last token first, its language
};

struct BartConfig {
  BartKind kind = BartKind::bart;
  int64_t vocab_size = 0, width = 0, max_positions = 0;
  BartStack encoder, decoder;
  Activation activation = Activation::gelu_erf;
  bool scales_words = false;
  int32_t padding_id = 0, start_id = 0, end_id = 0;
};

// Errors: format, unsupported (settings that transformers has not computed since version 4).
BartConfig read_bart_config(const Config& config, BartKind kind);
// The layers of the encoder come first, then those of the decoder. The result is the decoder's.
Plan bart(const BartConfig& config);
Model make_bart(const Config& config);
Model make_mbart(const Config& config);

}  // namespace mlxe
