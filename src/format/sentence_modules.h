// What a sentence-transformers folder puts after the transformer, and how it wants its texts.
//
// Mirrors sentence_transformers (6.x reads every older layout, so does this): modules.json,
// sentence_bert_config.json, config_sentence_transformers.json, N_Pooling/config.json,
// N_Dense/{config.json,model.safetensors}, N_Normalize/config.json. A key of a module's file that is not
// known is an error: it can change the vector.
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
  std::string activation;                // see torch_activation()
  bool use_residual = false;             // the input is added to the output
  StoredWeight weight;                   // [out, in], "linear.weight"
  std::optional<StoredWeight> bias;      // [out]
  std::optional<StoredWeight> residual;  // [out, in], what the input is multiplied with before it is added
  std::shared_ptr<const SafetensorsFile> file;  // what the spans point into
};

struct NormalizeSpec {};

using SentenceModuleSpec = std::variant<PoolingSpec, DenseSpec, NormalizeSpec>;

enum class Similarity { cosine, dot, euclidean, manhattan };

struct SentenceModules {
  // Exactly one PoolingSpec. What stands before it works on each token's vector, what stands after on the
  // text's.
  std::vector<SentenceModuleSpec> modules;
  bool declared = false;                     // modules.json is there; otherwise mean pooling is assumed
  std::filesystem::path transformer;         // the transformer's folder, relative; empty: the model's own
  bool cross_encoder = false;                // saved as a CrossEncoder: it scores texts and pairs
  std::optional<std::string> activation_fn;  // a CrossEncoder's, a Python class: what makes scores of logits
  std::optional<int64_t> max_seq_length;     // in tokens, special ones included
  bool do_lower_case = false;                // see Tokenizer::lower_case_first
  std::map<std::string, std::string> prompts;      // by name; put before the text, of a pair before its first
  std::optional<std::string> default_prompt_name;  // a key of prompts
  Similarity similarity = Similarity::cosine;
  std::vector<std::filesystem::path> files;  // every file of these that exists, relative to the folder
};

// The default prompt of texts that are embedded, or that a classifier reads: a CrossEncoder's belongs to the
// second, any other to the first. Empty where there is none.
enum class PromptUse { embedding, classification };
std::string default_prompt(const SentenceModules& modules, PromptUse use);

// Whether the folder is asked for sentence vectors: of a classifier, mean pooling is no assumption worth a
// word.
enum class ExpectVectors { yes, no };

// Errors: format (missing or contradicting values), unsupported (a module, activation or setting this version
// can't honour, named), not_found (a module's file is missing), io. Says through `warn` what it ignores or
// assumes.
SentenceModules read_sentence_modules(const std::filesystem::path& folder, const Warning& warn = {},
                                      ExpectVectors expect = ExpectVectors::yes);

}  // namespace mlxe
