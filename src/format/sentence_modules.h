// The modules after the transformer in a sentence-transformers folder, and its settings for texts.
//
// Reads what sentence_transformers 6.x reads, all older layouts included: modules.json,
// sentence_bert_config.json, config_sentence_transformers.json, N_Pooling/config.json,
// N_Dense/{config.json,model.safetensors or pytorch_model.bin}, N_Normalize/config.json, N_SpladePooling/config.json,
// N_Router/router_config.json (N_Asym/config.json), N_SparseStaticEmbedding/{config.json,model.safetensors}. An
// unknown key in a module's file is an error, because it can change the vector.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "format/late_interaction.h"
#include "format/m3_heads.h"
#include "format/pooling_kind.h"
#include "format/route_task.h"
#include "format/stored_weight.h"
#include "format/tensor_file.h"
#include "mlx_encoder/types.h"

namespace mlxe {

struct PoolingSpec {
  std::vector<PoolingKind> kinds{PoolingKind::mean};  // concatenated in this order
  bool include_prompt = true;                         // whether a prompt's tokens are pooled too
  std::optional<int64_t> dimension;                   // of a token vector, if the folder states it
  std::string folder;                                 // "1_Pooling"; empty if it is assumed
};

struct DenseSpec {
  std::string folder;  // "2_Dense"
  int64_t in = 0, out = 0;
  std::string activation;                  // see torch_activation()
  bool use_residual = false;               // the input is added to the output
  StoredWeight weight;                     // [out, in], "linear.weight"
  std::optional<StoredWeight> bias;        // [out]
  std::optional<StoredWeight> residual;    // [out, in], multiplied with the input before that is added
  std::shared_ptr<const TensorFile> file;  // owns the memory of the spans
};

struct NormalizeSpec {};

// The module SpladePooling of a SparseEncoder.
struct SpladeSpec {
  TermWeighting weighting;
  std::optional<int64_t> dimension;  // number of terms, if the folder states it
};

// The module SparseStaticEmbedding of a SparseEncoder: a text has the weights of its tokens, each token once.
struct StaticTerms {
  std::string folder;               // "query_0_SparseStaticEmbedding"
  std::vector<float> weights = {};  // by token id, none below 0
  int64_t max_length = 0;           // most tokens of a text; 0: no limit
  std::shared_ptr<const TensorFile> file = {};
};

// Where a SparseEncoder's text of a task gets its weights.
enum class SparseRoute { model, fixed, none };

using SentenceModuleSpec = std::variant<PoolingSpec, DenseSpec, NormalizeSpec>;

// One way through the modules of a folder with a Router: those before the Router, of one of its routes, and after it.
struct SentenceRoute {
  std::string name;
  std::vector<SentenceModuleSpec> modules;  // as SentenceModules::modules
};

enum class Similarity { cosine, dot, euclidean, manhattan };
const char* name(Similarity similarity) noexcept;  // "cosine", ...

struct SentenceModules {
  // Exactly one is a PoolingSpec. Modules before it read each token's vector, modules after it the text's.
  std::vector<SentenceModuleSpec> modules;
  // Of a folder with a Router, in the order of its file. `modules` is then the route of texts without a task; if there is
  // none, the first route.
  std::vector<SentenceRoute> routes;
  RouteOf route_of;        // indices into `routes`
  bool declared = false;   // modules.json is there; otherwise a pooling is assumed
  bool is_static = false;  // the transformer is a StaticEmbedding, whose texts get no special tokens
  std::filesystem::path transformer;  // the transformer's folder, relative; empty: the model's own
  bool cross_encoder = false;         // saved as a CrossEncoder: it scores texts and pairs
  std::optional<SpladeSpec> splade;   // saved as a SparseEncoder of a masked language model
  // Of a SparseEncoder with a Router: the weights of its route without a model, and which texts take that.
  std::optional<StaticTerms> static_terms;
  ByTask<SparseRoute> sparse_route;
  std::optional<LateInteraction> late;       // saved by PyLate, as Stanford's ColBERT, or with `m3`
  std::vector<DenseSpec> late_modules;       // of PyLate: project each token's vector
  std::optional<M3Heads> m3;                 // of bge-m3, beside the text's vector
  std::optional<std::string> activation_fn;  // a CrossEncoder's function of logits to scores: a Python class
  // Of a CrossEncoder that is a language model: whether its chat template renders a pair, and whether messages hold
  // their text in a list of parts. Unset: it follows from the template.
  std::optional<bool> renders_pairs, has_message_parts;
  nlohmann::json template_variables;      // further variables of that template; null: none
  std::filesystem::path text_config;      // the file of the two that follow, relative; empty: none was read
  std::optional<int64_t> max_seq_length;  // in tokens, special ones included
  bool do_lower_case = false;             // see Tokenizer::lower_case_first
  std::map<std::string, std::string> prompts;      // by name; put before the text (a pair's first text)
  std::optional<std::string> default_prompt_name;  // a key of prompts
  std::optional<int64_t> truncate_dim;             // a text's vector is its first values
  Similarity similarity = Similarity::cosine;
  std::vector<std::filesystem::path> files;  // all files that were read, relative to the folder

  // The modules that the texts of a task go through. Errors: usage (the Router has no route for it).
  const std::vector<SentenceModuleSpec>& modules_for(RouteTask task) const;
  // Of a SparseEncoder, where a task's texts get their weights. Errors: usage (the Router has no route for them).
  SparseRoute sparse_route_for(RouteTask task) const;
  // The route of a task's texts, if it is another one than that of `modules`.
  std::optional<size_t> own_route(RouteTask task) const noexcept;
  // The Dense modules of all routes, each once, in the order of the files.
  std::vector<const DenseSpec*> dense() const;
  // All weights that are not in the checkpoint: of those modules and of `m3`.
  std::vector<const StoredWeight*> weights() const;
};

// The default prompt for embedding or for classification. A CrossEncoder's prompt is for classification,
// any other for embedding. Empty if there is none.
enum class PromptUse { embedding, classification };
std::string default_prompt(const SentenceModules& modules, PromptUse use);

// Whether the caller wants sentence vectors. If not (a classifier), assuming a pooling gives no warning.
enum class ExpectVectors { yes, no };

// Warns of everything it ignores or assumes. Errors: format (missing or contradicting values), unsupported
// (names a module, activation or setting that this version can't honour), not_found (a module's file is
// missing), io.
SentenceModules read_sentence_modules(const std::filesystem::path& folder, const Warning& warn = {},
                                      ExpectVectors expect = ExpectVectors::yes);

}  // namespace mlxe
