#pragma once

#include "format/config.h"
#include "models/llama.h"
#include "models/model.h"

namespace mlxe {

// Errors: format, unsupported (a kind of layer or of rotary positions, capped scores).
LlamaConfig read_gemma3_config(const Config& config);

// Mirrors transformers/models/gemma3/modeling_gemma3.py (Gemma3TextModel), which EmbeddingGemma is: with attention in
// both directions. It is a decoder otherwise.
Model make_gemma3(const Config& config);  // for the registry

}  // namespace mlxe
