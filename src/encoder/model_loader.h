// From a folder to a model whose handles name an engine's weights.
#pragma once

#include <filesystem>

#include "encoder/score_function.h"
#include "format/checkpoint.h"
#include "format/sentence_modules.h"
#include "models/engine.h"
#include "models/model.h"

namespace mlxe {

// The model a folder describes, its tensors mapped, nothing bound to an engine yet.
struct LoadedModel {
  Checkpoint checkpoint;
  Model model;
  SentenceModules sentence;
  ScoreFunction score_function = ScoreFunction::softmax;  // of a classifier
};

// Reads config.json, the safetensors files and the sentence-transformers modules of `folder`, and checks that
// every tensor of the model is there in the shape config.json implies. What is ignored or assumed is said
// through `warn`, and each file whose size is not what mlx_encoder.json records. Errors: not_found, io,
// format (all missing or misshapen tensors in one message), unsupported, numeric (check_dense).
LoadedModel load_model(const std::filesystem::path& folder, const Warning& warn);

// Errors: numeric (NaN or infinity in a Dense module of `folder`; names tensor, row and column).
void check_dense(const SentenceModules& sentence, const std::filesystem::path& folder);

// Hands every tensor of the model to the engine and keeps the handles. `loaded` must outlive the engine.
void bind(LoadedModel& loaded, Engine& engine);

// Tokens a text may have, as sentence-transformers decides it: sentence_bert_config.json's max_seq_length,
// else (also where it is null) the tokenizer's model_max_length (0: none); never more than the model has
// positions, which is said through `warn` where a file asks for more.
int64_t token_limit(const LoadedModel& loaded, int64_t model_max_length, const Warning& warn = {});

}  // namespace mlxe
