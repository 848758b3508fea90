// The files of single sentence-transformers modules: N_Pooling, N_Dense, N_Normalize, N_SpladePooling.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/config.h"
#include "format/sentence_modules.h"

namespace mlxe {

// sentence-transformers' name: "cls", "lasttoken".
const char* spelling(PoolingKind kind) noexcept;

// The text of a Pooling module's config.json in the spelling of before sentence-transformers 5.4, if the file has only
// the newer one and the older can express it. Errors: those of read_json.
std::optional<std::string> pooling_in_old_spelling(const std::filesystem::path& file);

// The input or output of a module: each token's vector, or the text's vector.
enum class Feature { token_embeddings, sentence_embedding };

template <class Spec>
struct ModuleFile {
  Spec spec;
  Feature feature = Feature::sentence_embedding;
};

// A module of a route.
struct RouterModule {
  std::string type;    // a Python class
  std::string folder;  // "2_Router/query_0_Dense"
};

struct RouterRoute {
  std::string name;
  std::vector<RouterModule> modules;
};

// The routes of a Router (Asym in old folders), in the order of its file.
struct RouterFile {
  std::string where;  // the file, for messages
  std::vector<RouterRoute> routes;
  RouteOf route_of;  // indices into `routes`, for texts
};

// Reads the modules of one folder. Adds every file that exists to `files`, relative to the folder. Errors: as
// read_sentence_modules.
class ModuleFileReader {
 public:
  ModuleFileReader(const std::filesystem::path& folder, std::vector<std::filesystem::path>& files,
                   const Warning& warn)
      : folder_(folder), files_(files), warn_(warn) {}

  // nullopt if there is no such file.
  std::optional<Config> config_at(const std::filesystem::path& relative);

  PoolingSpec pooling(const std::string& path);
  ModuleFile<DenseSpec> dense(const std::string& path);
  ModuleFile<NormalizeSpec> normalize(const std::string& path);
  SpladeSpec splade(const std::string& path);
  // `transformer`: the folder of the model's tokenizer, relative. Errors: unsupported (the module's tokenizer is another
  // one, or has other settings).
  StaticTerms static_terms(const std::string& path, const std::filesystem::path& transformer);
  RouterFile router(const std::string& path);
  void dropout(const std::string& path);  // checks the file; dropout has no effect outside training

 private:
  Config required(const std::string& path);
  std::vector<PoolingKind> pooling_kinds(const Config& config) const;
  void read_weights(DenseSpec& dense, bool has_bias);
  void read_weights(StaticTerms& terms) const;

  const std::filesystem::path& folder_;
  std::vector<std::filesystem::path>& files_;
  const Warning& warn_;
};

[[noreturn]] void throw_unsupported(const std::string& text);
[[noreturn]] void throw_malformed(const std::string& text);

// The class of sentence-transformers that a type in modules.json names: "Pooling"; empty: it is another library's.
std::string library_class(std::string_view type);

// Throws unsupported for the first unused key of `config`.
void refuse_unknown(const Config& config);

// transformers' name ("tanh", "linear" for identity, "relu", "gelu", "sigmoid", "silu", "softmax") of an
// activation class of torch.nn that needs no arguments. nullopt for any other class.
std::optional<std::string> torch_activation(std::string_view python_class);

}  // namespace mlxe
