#include "convert/conversion_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "encoder/model_loader.h"
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
  if (!sentence.routes.empty())
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: mlx-embeddings knows no Router; use --layout hf", folder()));
  for (std::string& caveat :
       mlx_embeddings_caveats(mlx_embeddings->model(), sentence, tokenizer.tokenizer.get()))
    warnings.push_back(std::move(caveat));
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

std::vector<std::string> ConversionSource::files() const {
  std::vector<std::string> files{(sentence.transformer / "config.json").generic_string()};
  for (const CheckpointFile& file : checkpoint.files())
    files.push_back(file.path.lexically_relative(checkpoint.folder()).lexically_normal().generic_string());
  for (const CarriedFile& file : small_files.carried) files.push_back(file.from.generic_string());
  for (const auto& [file, text] : rewritten) files.push_back(file);
  return files;
}

}  // namespace mlxe
