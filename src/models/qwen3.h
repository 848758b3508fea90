#pragma once

#include "format/config.h"
#include "models/llama.h"
#include "models/model.h"

namespace mlxe {

// Errors: format, unsupported (a kind of layer, scaled rotary positions, attention to later tokens).
LlamaConfig read_qwen3_config(const Config& config);

// Mirrors transformers/models/qwen3/modeling_qwen3.py (Qwen3Model). It is a decoder: embedders built on it use the last
// token's vector.
Model make_qwen3(const Config& config);  // for the registry

}  // namespace mlxe
