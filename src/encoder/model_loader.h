// Loads a folder as a model, and binds the model's weights to an engine.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "encoder/score_function.h"
#include "format/checkpoint.h"
#include "format/sentence_modules.h"
#include "models/engine.h"
#include "models/model.h"
#include "models/unknown_tensors.h"

namespace mlxe {

// The model of a folder with mapped tensors, not yet bound to an engine.
struct LoadedModel {
  Checkpoint checkpoint;
  Model model;
  SentenceModules sentence;
  ScoreFunction score_function = ScoreFunction::softmax;  // of a classifier
};

// Reads config.json, the weight files and the sentence-transformers modules of `folder`, and checks
// that every tensor of the model exists in the shape that config.json implies. Warns of everything it
// ignores or assumes, and of each file whose size differs from that in mlx_encoder.json.
// Errors: not_found, io, format (all missing or misshapen tensors in one message), unsupported, numeric
// (check_module_weights). `expect`: a folder with the head of a task is read with ExpectVectors::no in any case. `splade`: of a masked
// language model whose folder states no SpladePooling; another folder's counts.
LoadedModel load_model(const std::filesystem::path& folder, const Warning& warn,
                       ExpectVectors expect = ExpectVectors::yes,
                       UnknownTensors unknown = UnknownTensors::refuse,
                       std::optional<TermPooling> splade = {});

// Files that a tokenizer of the model may be read from, relative to the folder, whether they exist or not.
std::vector<std::string> tokenizer_files(const LoadedModel& loaded);

// The existing files of the model and its tokenizer, relative to the folder. A file that appears or disappears changes
// the tokenizer.
std::vector<std::string> files_read(const LoadedModel& loaded);

// SHA-256, in hex, of the names and contents of those files and of the adapters' (Encoder::fingerprint). Errors: io,
// not_found.
std::string model_fingerprint(const LoadedModel& loaded);

// Errors: numeric (NaN or infinity in a weight beside the checkpoint of `folder`; names tensor, row and column).
void check_module_weights(const SentenceModules& sentence, const std::filesystem::path& folder);

// A parameter of a loaded model, in the checkpoint or beside it (SentenceModules::weights).
StoredWeight stored_weight(const Checkpoint& checkpoint, const SentenceModules& sentence,
                           const Parameter& parameter);

// Gives every tensor of the model to the engine and stores the returned handles in the model. `loaded` must
// outlive the engine.
void bind(LoadedModel& loaded, Engine& engine);

}  // namespace mlxe
