// What a sentence-transformers folder puts after the transformer, and how it wants its texts.
//
// Mirrors sentence_transformers (5.x reads every older layout, so does this): modules.json,
// sentence_bert_config.json (beside the transformer's config.json), config_sentence_transformers.json,
// N_Pooling/config.json, N_Dense/{config.json,model.safetensors}.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "format/pooling_kind.h"
#include "format/safetensors.h"
#include "format/stored_weight.h"
#include "mlx_encoder/types.h"

namespace mlxe {

struct PoolingSpec {
  std::vector<PoolingKind> kinds{PoolingKind::mean};  // concatenated in this order
  bool include_prompt = true;                         // whether a prompt's tokens are pooled too
  std::optional<int64_t> dimension;                   // of a token vector, where the folder says it
};

struct DenseSpec {
  std::string folder;  // "2_Dense"
  int64_t in = 0, out = 0;
  std::string
      activation;  // transformers' spelling: "tanh", "linear" (identity), "relu", "gelu", "sigmoid", "silu"
  StoredWeight weight;                          // [out, in], "linear.weight"
  std::optional<StoredWeight> bias;             // [out]
  std::shared_ptr<const SafetensorsFile> file;  // what the spans point into
};

struct NormalizeSpec {};

using SentenceModuleSpec = std::variant<PoolingSpec, DenseSpec, NormalizeSpec>;

enum class Similarity { cosine, dot, euclidean, manhattan };

struct SentenceModules {
  std::vector<SentenceModuleSpec> modules;     // exactly one PoolingSpec, and it comes first
  bool declared = false;                       // modules.json is there; otherwise mean pooling is assumed
  std::filesystem::path transformer;           // the transformer's folder, relative; empty: the model's own
  std::optional<int64_t> max_seq_length;       // in tokens, special ones included
  bool do_lower_case = false;                  // see Tokenizer::lower_case_first
  std::map<std::string, std::string> prompts;  // by name; put before the text
  std::optional<std::string> default_prompt_name;  // a key of prompts
  Similarity similarity = Similarity::cosine;
  std::vector<std::filesystem::path> files;  // every file of these that exists, relative to the folder
};

// Errors: format (missing or contradicting values), unsupported (a module, activation or setting this version
// can't honour, named), not_found (a module's file is missing), io. Says through `warn` what it ignores or
// assumes.
SentenceModules read_sentence_modules(const std::filesystem::path& folder, const Warning& warn = {});

}  // namespace mlxe
