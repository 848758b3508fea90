#include "encoder/model_loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/sha256.h"
#include "base/wording.h"
#include "format/adapted_folder.h"
#include "format/provenance.h"
#include "mlx_encoder/error.h"
#include "models/heads.h"
#include "models/registry.h"
#include "models/tied_tensors.h"
#include "tokenizer/tokenizer.h"

namespace mlxe {
namespace {

constexpr size_t kListed = 8;  // most names in a message

// Warns if a tensor that is tied to another one is no copy of it. Of two biases that are one parameter, versions and
// families of transformers take one or the other: that is an error if the model reads it (`is_read`).
void require_copy(const Checkpoint& checkpoint, const CheckpointTensor& tensor,
                  const CheckpointTensor& original, bool is_read, const Warning& warn) {
  const StoredWeight a = checkpoint.stored(tensor.name), b = checkpoint.stored(original.name);
  if (a.scheme == b.scheme && std::ranges::equal(a.codes, b.codes) &&
      std::ranges::equal(a.scales, b.scales) && std::ranges::equal(a.biases, b.biases))
    return;
  if (is_read && tensor.name.ends_with(".bias"))
    throw Error(
        ErrorCode::format,
        fmt::format("{}: {} differs from {}, though both are one parameter; remove the one that is not meant",
                    checkpoint.folder().string(), tensor.original, original.original));
  if (warn)
    warn(fmt::format("{}: {} differs from {}, to which transformers ties it; it is ignored",
                     checkpoint.folder().string(), tensor.original, original.original));
}

// Compares the tensors of the model with those of the files. Collects all problems for one error.
void check_shapes(const Checkpoint& checkpoint, std::span<const Parameter> parameters, const Warning& warn) {
  std::set<std::string> read;
  std::vector<std::string> problems, unused;
  for (const Parameter& p : parameters) {
    read.insert(p.name);
    if (!checkpoint.has(p.name)) {
      problems.push_back(fmt::format("{} is missing", p.name));
      continue;
    }
    const Shape shape = checkpoint.stored(p.name).shape;
    if (shape != p.shape)
      problems.push_back(
          fmt::format("{} is {}, config.json implies {}", p.name, to_string(shape), to_string(p.shape)));
  }
  if (!problems.empty())
    throw Error(ErrorCode::format, checkpoint.folder().string() + ": " + listed(problems, kListed, "; "));
  for (const CheckpointTensor& tensor : checkpoint.tensors()) {
    if (tensor.role != TensorRole::weight || read.contains(tensor.name)) continue;
    if (const CheckpointTensor* original = tied_to(checkpoint, tensor))
      require_copy(checkpoint, tensor, *original, read.contains(original->name), warn);
    else
      unused.push_back(tensor.name);
  }
  if (!unused.empty() && warn)
    warn(fmt::format("{}: {} tensors are not part of the model this version runs and are ignored: {}",
                     checkpoint.folder().string(), unused.size(), listed(unused, kListed)));
}

void check_finite(const StoredWeight& weight, const std::filesystem::path& folder) {
  std::vector<float> values(static_cast<size_t>(element_count(weight.shape)));
  to_float(weight.dtype, weight.codes, values);
  const auto bad = std::ranges::find_if_not(values, [](float v) { return std::isfinite(v); });
  if (bad == values.end()) return;
  const auto columns = weight.shape.size() == 2 ? weight.shape[1] : 1, at = bad - values.begin();
  throw Error(ErrorCode::numeric,
              fmt::format("{}: {}, row {}, column {} is {}, expected a finite number; the file is damaged",
                          folder.string(), weight.name, at / columns, at % columns, *bad));
}

// The file, relative to the model's folder.
std::string relative(const LoadedModel& loaded, const std::filesystem::path& file) {
  return file.lexically_relative(loaded.checkpoint.folder()).lexically_normal().generic_string();
}

}  // namespace

void check_module_weights(const SentenceModules& sentence, const std::filesystem::path& folder) {
  for (const StoredWeight* weight : sentence.weights()) check_finite(*weight, folder);
}

LoadedModel load_model(const std::filesystem::path& folder, const Warning& warn, ExpectVectors expect,
                       UnknownTensors unknown, std::optional<TermPooling> splade) {
  if (warn)
    for (const std::string& change : changes_since_conversion(folder, FileCheck::size)) warn(change);
  Checkpoint checkpoint = Checkpoint::open(folder, warn);
  Model model = make_model(checkpoint, warn);
  check_shapes(checkpoint, model.parameters(), warn);
  if (unknown == UnknownTensors::refuse) require_no_unknown_tensors(checkpoint, model);
  const bool assumed = model.answers && model.answers->assumed;
  SentenceModules sentence =
      read_sentence_modules(folder, warn, model.task_logits() && !assumed ? ExpectVectors::no : expect);
  check_module_weights(sentence, folder);
  PlanBuilder builder(std::move(model.plan));
  if (warn && sentence.splade && splade && sentence.splade->weighting.pooling != *splade)
    warn(fmt::format("{}: pools sparse vectors by {}, as modules.json says, and not by {}, as was asked for",
                     folder.string(), name(sentence.splade->weighting.pooling), name(*splade)));
  if (warn && sentence.m3 && splade)
    warn(fmt::format(
        "{}: takes the largest weight of each token, as bge-m3 does; the pooling {} has no effect",
        folder.string(), name(*splade)));
  if (!sentence.splade && !sentence.m3 && splade)
    sentence.splade = SpladeSpec{.weighting = {.pooling = *splade}, .dimension = {}};
  if (sentence.splade && model.masked_head) add_splade(builder, *model.masked_head, *sentence.splade);
  if (sentence.static_terms && std::ssize(sentence.static_terms->weights) != model.vocab_size())
    throw Error(ErrorCode::format,
                fmt::format("{}: has {} weights, expected one for each of the model's {} tokens",
                            sentence.static_terms->file->path().string(),
                            sentence.static_terms->weights.size(), model.vocab_size()));
  if (!sentence.late_modules.empty()) add_token_vectors(builder, sentence.late_modules);
  if (sentence.m3) add_m3_heads(builder, *sentence.m3, folder);
  add_sentence_pipelines(builder, sentence);
  model.plan = builder.finish();
  const int64_t columns = model.plan.columns(Output::sentence);
  if (warn && sentence.truncate_dim.value_or(0) > columns)
    warn(fmt::format("{}: \"truncate_dim\" is {}, but the vectors have {} values; none is left out",
                     (folder / kLibraryConfig).string(), *sentence.truncate_dim, columns));
  const ScoreFunction scores = score_function(model, checkpoint.config(), sentence, warn);
  return {std::move(checkpoint), std::move(model), std::move(sentence), scores};
}

std::vector<std::string> tokenizer_files(const LoadedModel& loaded) {
  std::vector<std::string> files;
  for (const char* name : kTokenizerFiles)
    files.push_back(relative(loaded, loaded.checkpoint.transformer_folder() / name));
  return files;
}

std::vector<std::string> files_read(const LoadedModel& loaded) {
  const Checkpoint& checkpoint = loaded.checkpoint;
  std::vector<std::string> files{relative(loaded, checkpoint.transformer_folder() / "config.json")};
  for (const CheckpointFile& file : checkpoint.files()) files.push_back(relative(loaded, file.path));
  for (const std::string& file : tokenizer_files(loaded))
    if (std::filesystem::exists(checkpoint.folder() / file)) files.push_back(file);
  for (const std::filesystem::path& file : loaded.sentence.files) files.push_back(file.generic_string());
  return files;
}

std::string model_fingerprint(const LoadedModel& loaded) {
  const std::filesystem::path& folder = loaded.checkpoint.folder();
  std::vector<std::string> files = files_read(loaded);
  for (const std::filesystem::path& adapter : adapter_folders(folder))
    for (const auto& entry : std::filesystem::directory_iterator(adapter))
      if (entry.is_regular_file()) files.push_back(relative(loaded, entry.path()));
  std::ranges::sort(files);
  const auto [past, end] = std::ranges::unique(files);
  files.erase(past, end);
  std::string text;
  for (const auto& [file, print] : fingerprints(folder, files))
    text += fmt::format("{} {}\n", print.sha256, file);
  return sha256_hex(std::as_bytes(std::span(text)));
}

StoredWeight stored_weight(const Checkpoint& checkpoint, const SentenceModules& sentence,
                           const Parameter& parameter) {
  if (parameter.file == ParameterFile::checkpoint) return checkpoint.stored(parameter.name);
  for (const StoredWeight* weight : sentence.weights())
    if (weight->name == parameter.name) return *weight;
  throw Error(ErrorCode::internal, parameter.name + " is no weight of a sentence-transformers module");
}

void bind(LoadedModel& loaded, Engine& engine) {
  for (Parameter& p : loaded.model.plan.parameters)
    p.handle = engine.add(stored_weight(loaded.checkpoint, loaded.sentence, p));
}

}  // namespace mlxe
