// What mlx-embeddings computes otherwise than the model's folder says, one sentence each.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "convert/mlx_embeddings_layout.h"
#include "format/checkpoint.h"
#include "format/sentence_modules.h"
#include "models/model.h"
#include "tokenizer/tokenizer.h"

namespace mlxe {

// The modules of a folder as readers meet them that read none but a pooling. Where mlx-encoder can't read them, as where the
// folder of a pooling is missing, `modules` is a mean and `problem` the error's sentence.
struct ReadModules {
  SentenceModules modules;
  std::string problem;
};
ReadModules modules_of_a_reader(const std::filesystem::path& folder);

// Whether main pools this model's token vectors as 1_Pooling says; 0.1.0 averages them.
bool pools_by_file(MlxEmbeddingsModel model) noexcept;

// Why main refuses every text of a model that it pools by file. Empty if it does not.
std::string pooling_that_main_refuses(const SentenceModules& sentence);

// Of texts, pooling and dimensions, for any of its models. `reads_pooling`: whether the version does where pools_by_file(). `tokenizer`: the
// folder's; null if none could be loaded.
std::vector<std::string> mlx_embeddings_caveats(MlxEmbeddingsModel model, bool reads_pooling,
                                                const SentenceModules& sentence, const Tokenizer* tokenizer);

// How the layers of a Gemma 3 differ as mlx-lm's code reads config.json, which mlx-embeddings uses and Swift's follows:
// positions and the scale of scores. Windows are not compared.
std::vector<std::string> gemma3_layer_differences(const Model& model, const Checkpoint& checkpoint);

// Its Gemma 3 attends in both directions and without windows, averages, applies two linears and normalizes.
std::vector<std::string> gemma3_differences(const Model& model, const Checkpoint& checkpoint,
                                            const SentenceModules& sentence);

// Its ModernBERT pools as "classifier_pooling" says, and not at all if "architectures" names the masked language model.
std::vector<std::string> modernbert_differences(const Model& model, const Checkpoint& checkpoint,
                                                const SentenceModules& sentence);

}  // namespace mlxe
