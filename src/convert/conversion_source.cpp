#include "convert/conversion_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <variant>

#include "base/mapped_file.h"
#include "convert/mlx_embeddings_differences.h"
#include "encoder/model_loader.h"
#include "format/model_folder.h"
#include "format/module_files.h"
#include "format/provenance.h"
#include "mlx_encoder/error.h"
#include "models/registry.h"

namespace mlxe {
namespace fs = std::filesystem;

ConversionSource::ConversionSource(const ConvertOptions& options, std::optional<FolderTokenizer> known)
    : stamp(options.model),
      checkpoint(Checkpoint::open(options.model, warn())),
      model(make_model(checkpoint, warn())) {
  if (!options.allow_unknown) require_no_unknown_tensors(checkpoint, model);
  if (options.layout == Layout::mlx_embeddings) mlx_embeddings.emplace(model, checkpoint);
  const FileCheck check = options.strict ? FileCheck::content : FileCheck::size;
  for (std::string& change : changes_since_conversion(options.model, check))
    warnings.push_back(std::move(change));
  tokenizer = known ? *std::move(known) : load_folder_tokenizer(options.model);
  read_sentence();
  check_tokenizer();
  small_files = find_carried_files(options.model, sentence, checkpoint.files());
  rewrite_poolings();
  rewrite_router();
}

Warning ConversionSource::warn() {
  return [this](std::string_view said) { warnings.emplace_back(said); };
}

void ConversionSource::read_sentence() {
  // No warning of assumed mean pooling: it concerns only running the model.
  sentence = read_sentence_modules(checkpoint.folder(), warn(), ExpectVectors::no);
  check_module_weights(sentence, checkpoint.folder());
  if (!mlx_embeddings) return;
  if (const std::vector<const DenseSpec*> dense = sentence.dense(); !dense.empty())
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{}: mlx-embeddings loads no folder with a Dense module ({}): it takes its weights "
                    "for the encoder's; use --layout hf",
                    folder(), dense.front()->folder));
  if (!sentence.routes.empty() || sentence.static_terms)
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: mlx-embeddings knows no Router; use --layout hf", folder()));
  for (std::string& caveat :
       mlx_embeddings_caveats(mlx_embeddings->model(), false, sentence, tokenizer.tokenizer.get()))
    warnings.push_back(std::move(caveat));
  if (pools_by_file(mlx_embeddings->model()))
    if (const std::string refused = pooling_that_main_refuses(sentence); !refused.empty())
      warnings.push_back("mlx-embeddings after 0.1.0: " + refused);
}

void ConversionSource::check_tokenizer() {
  tokenizer.require_unbroken();
  if (tokenizer.state == FolderTokenizer::State::foreign)
    warnings.push_back(tokenizer.why + "; its files are carried over unread");
}

// mlx-embeddings and Swift's MLXEmbedders know only the spelling of before sentence-transformers 5.4, which all
// versions of that read.
void ConversionSource::rewrite_poolings() {
  std::erase_if(small_files.carried, [&](const CarriedFile& file) {
    const bool pools = std::ranges::any_of(sentence.modules, [&](const SentenceModuleSpec& module) {
      const auto* pooling = std::get_if<PoolingSpec>(&module);
      return pooling && !pooling->folder.empty() && file.from == fs::path(pooling->folder) / "config.json";
    });
    if (!pools) return false;
    std::optional<std::string> text = pooling_in_old_spelling(checkpoint.folder() / file.from);
    if (text) rewritten[file.to.generic_string()] = *std::move(text);
    return text.has_value();
  });
}

// In the written folder the transformer's files are in the Router's own folder, which the Router calls "".
void ConversionSource::rewrite_router() {
  const fs::path file = checkpoint.folder() / kRouterConfig;
  if (sentence.transformer.empty() || !fs::exists(file)) return;
  const auto moved = [&](const std::string& id) { return id == sentence.transformer ? std::string() : id; };
  using nlohmann::ordered_json;  // the first route of the file may be the default
  const MappedFile mapped(file);
  const std::string_view text(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
  ordered_json router = ordered_json::parse(text), types = ordered_json::object();
  for (const auto& [id, type] : router.at("types").items()) {
    if (id.empty())
      throw Error(
          ErrorCode::unsupported,
          fmt::format("{}: has a module in the folder itself, where the transformer's files are written",
                      file.string()));
    types[moved(id)] = type;
  }
  router["types"] = types;
  for (auto& [route, modules] : router.at("structure").items())
    for (ordered_json& id : modules) id = moved(id.get<std::string>());
  rewritten[kRouterConfig] = router.dump(2) + "\n";
  std::erase_if(small_files.carried, [](const CarriedFile& carried) { return carried.to == kRouterConfig; });
}

std::vector<std::string> ConversionSource::files() const {
  std::vector<std::string> files{(sentence.transformer / "config.json").generic_string()};
  for (const CheckpointFile& file : checkpoint.files())
    files.push_back(file.path.lexically_relative(checkpoint.folder()).lexically_normal().generic_string());
  for (const CarriedFile& file : small_files.carried) files.push_back(file.from.generic_string());
  for (const auto& [file, text] : rewritten) files.push_back(file);
  return files;
}

}  // namespace mlxe
