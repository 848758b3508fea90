#pragma once

#include "format/config.h"
#include "models/heads.h"
#include "models/llama.h"
#include "models/model.h"

namespace mlxe {

// Reads the keys of transformers 5 and those of the models' own code ("rope_theta"). Errors: format, unsupported (a
// scaling of rotary positions, foreign code).
LlamaConfig read_eurobert_config(const Config& config);

// For the registry. Mirrors transformers/models/eurobert/modeling_eurobert.py (EuroBertModel): Llama's layers, with
// attention both ways.
Model make_eurobert(const Config& config);
SequenceClassifier eurobert_classifier(const Config& config);

}  // namespace mlxe
