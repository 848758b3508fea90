// PreparedConversion::verify().
#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <memory>

#include "convert/loader_compatibility.h"
#include "convert/prepared_conversion.h"
#include "convert/weight_components.h"
#include "mlx_encoder/error.h"
#include "models/registry.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void not_as_planned(const fs::path& folder, const std::string& what) {
  throw Error(ErrorCode::internal, fmt::format("{}: read back, {}; nothing was kept", folder.string(), what));
}

void check_schemes(const Checkpoint& checkpoint, std::span<const Parameter> parameters,
                   const ConversionPlan& plan) {
  std::map<std::string, const PlannedTensor*> planned;
  for (const PlannedTensor& tensor : plan.tensors) planned.emplace(tensor.name, &tensor);
  for (const Parameter& parameter : parameters) {
    const CheckpointTensor* tensor = checkpoint.find(parameter.name);
    const auto it = tensor ? planned.find(tensor->original) : planned.end();
    if (it == planned.end()) not_as_planned(checkpoint.folder(), parameter.name + " is not there");
    const StoredWeight stored = checkpoint.stored(parameter.name);
    const Scheme expected =
        it->second->scheme.mode == Mode::fake ? Scheme{.dtype = Dtype::f32} : it->second->scheme;
    if (!same_form(stored.scheme, expected) || stored.shape != parameter.shape)
      not_as_planned(checkpoint.folder(),
                     fmt::format("{} is {} {}, {} {} was planned", parameter.name, to_string(stored.scheme),
                                 to_string(stored.shape), to_string(expected), to_string(parameter.shape)));
  }
}

}  // namespace

void PreparedConversion::verify(const fs::path& folder) const {
  Checkpoint written = Checkpoint::open(folder);
  const Model model = make_model(written, {});
  std::map<std::string, const CheckpointTensor*> tensors;
  for (const CheckpointTensor& tensor : written.tensors()) tensors.emplace(tensor.original, &tensor);
  size_t expected = 0;
  for (const Shard& shard : weights_.shards) {
    const std::vector<TensorSpec> components = weights_.components(shard);
    expected += components.size();
    const uint64_t predicted = SafetensorsWriter::predicted_size(components, weights_.metadata);
    if (const uint64_t size = fs::file_size(folder / shard.file); size != predicted)
      not_as_planned(folder, fmt::format("{} has {} bytes, {} were predicted", shard.file, size, predicted));
    for (const TensorSpec& component : components) {
      const auto it = tensors.find(component.name);
      if (it == tensors.end()) not_as_planned(folder, component.name + " is missing");
      const TensorView& view = it->second->view;
      if (view.dtype != component.dtype || view.shape != component.shape)
        not_as_planned(folder,
                       fmt::format("{} is {} {}, {} {} was planned", component.name, name(view.dtype),
                                   to_string(view.shape), name(component.dtype), to_string(component.shape)));
    }
  }
  if (tensors.size() != expected)
    not_as_planned(folder, fmt::format("it has {} tensors, {} were planned", tensors.size(), expected));
  check_schemes(written, model.parameters(), plan_);
  const FolderTokenizer tokenizer = load_folder_tokenizer(folder);
  if (source_->tokenizer.state == FolderTokenizer::State::loaded) tokenizer.require_loaded();
  load_as_a_run(folder);
  if (options_.layout == Layout::mlx_embeddings)
    require_mlx_embeddings_loads(folder, tokenizer, options_.output);
}

}  // namespace mlxe
