#include "format/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

#include "base/file_errors.h"
#include "base/wording.h"
#include "format/json_file.h"
#include "format/module_path.h"
#include "format/task_adapters.h"
#include "format/weight_files.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

// Every architecture has this tensor. A prefix of its name is the prefix of all the model's names.
constexpr std::string_view kAnchor = "embeddings.word_embeddings.weight";

// Renames the endings of BERT's first TensorFlow checkpoints, as transformers does.
std::string canonical_name(std::string_view original, std::string_view foreign_prefix,
                           std::string_view base_prefix) {
  std::string name(original);
  if (name.starts_with(foreign_prefix)) name.erase(0, foreign_prefix.size());
  if (!base_prefix.empty() && name.size() > base_prefix.size() + 1 && name.starts_with(base_prefix) &&
      name[base_prefix.size()] == '.')
    name.erase(0, base_prefix.size() + 1);
  if (name.ends_with("LayerNorm.gamma")) name.replace(name.size() - 5, 5, "weight");
  if (name.ends_with("LayerNorm.beta")) name.replace(name.size() - 4, 4, "bias");
  return name;
}

bool is_buffer(std::string_view name) {
  return name.ends_with("position_ids") || name.ends_with("token_type_ids");
}

// "mlx_encoder": {"scheme": "int8", "version": 1}
Mode read_declared_mode(const Config& config) {
  if (!config.has("mlx_encoder")) return Mode::none;
  const Config note = config.object("mlx_encoder");
  if (const int version = note.get<int>("version"); version != 1)
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: \"version\" is {}, this version reads 1; update mlx-encoder", note.where(),
                            version));
  const auto scheme = note.get<std::string>("scheme");
  if (scheme == "int8") return Mode::int8;
  if (scheme == "fake") return Mode::fake;
  throw Error(ErrorCode::unsupported,
              fmt::format("{}: \"scheme\" is {}, expected int8 or fake", note.where(), printable(scheme)));
}

// "bert-base-uncased", "org/name": a name on the Hugging Face hub rather than a local path. (The program has looked it
// up before; this is said to callers of the library.)
bool may_be_a_hub_name(const std::string& folder) {
  const auto plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.' || c == '/';
  };
  return std::ranges::all_of(folder, plain) && std::ranges::count(folder, '/') <= 1 && !folder.empty() &&
         folder.front() != '.' && folder.front() != '/' && folder.back() != '/';
}

[[noreturn]] void no_such_folder(const std::string& folder) {
  throw Error(
      ErrorCode::not_found,
      may_be_a_hub_name(folder)
          ? fmt::format(
                "{}: no such folder; if it is a model's name on the Hugging Face hub, model_folder() of "
                "mlx_encoder/hub.h gives its folder",
                folder)
          : fmt::format("{}: no such folder; give a model folder", folder));
}

void require_config(const fs::path& folder) {
  if (is_adapter_alone(folder)) refuse_adapter_alone(folder);
  if (!fs::exists(folder / "config.json") && fs::is_directory(folder / "snapshots"))
    throw Error(
        ErrorCode::not_found,
        fmt::format("{}: is a model's folder in the Hugging Face cache; give the one in its snapshots folder",
                    folder.string()));
}

}  // namespace

Checkpoint::Checkpoint(fs::path folder, fs::path transformer_folder, Config config)
    : folder_(std::move(folder)),
      transformer_folder_(std::move(transformer_folder)),
      config_(std::move(config)) {}

Checkpoint Checkpoint::open(const fs::path& folder, const Warning& warn) {
  return with_file_errors([&] { return open_folder(folder, warn); });
}

Checkpoint Checkpoint::open_folder(const fs::path& folder, const Warning& warn) {
  if (!fs::exists(folder)) no_such_folder(folder.string());
  if (!fs::is_directory(folder))
    throw Error(ErrorCode::not_found,
                fmt::format("{}: not a folder; give the folder that holds config.json", folder.string()));
  require_config(folder);
  const fs::path transformer = folder / transformer_path(folder);
  Checkpoint checkpoint(folder, transformer, Config::read(transformer / "config.json"));
  checkpoint.quantization_ = QuantizationConfig::read(checkpoint.config_, warn);
  checkpoint.declared_mode_ = read_declared_mode(checkpoint.config_);

  WeightFiles weights = open_weight_files(transformer, warn);
  if (warn && fs::exists(transformer / "adapter_config.json"))
    warn(fmt::format(
        "{}: holds an adapter beside the weights (adapter_config.json), which is not applied; give "
        "--adapter with this folder if it belongs to them",
        transformer.string()));
  checkpoint.opened_ = std::move(weights.files);
  for (const TensorFile& file : checkpoint.opened_)
    checkpoint.files_.push_back({file.path(), file.size(), FileStamp::of(file.path())});
  for (const TensorFile& file : checkpoint.opened_)  // after those that tensors have an index of
    for (const SideFile& other : file.beside())
      if (!other.path.empty())
        checkpoint.files_.push_back({other.path, other.file.bytes().size(), FileStamp::of(other.path)});
  TaskAdapters of_tasks;
  for (const WeightFiles::Location& at : weights.tensors) {
    const TensorView& view = checkpoint.opened_[at.file].tensors()[at.tensor];
    if (of_tasks.take(view)) continue;
    checkpoint.tensors_.push_back({.name = {},
                                   .original = without_parametrization(view.name),
                                   .view = view,
                                   .file = at.file,
                                   .owner = {}});
  }
  checkpoint.canonicalize("");
  checkpoint.choose_task(of_tasks, warn);
  checkpoint.read_adapters(warn);
  return checkpoint;
}

std::string Checkpoint::find_foreign_prefix(std::string_view base_prefix) const {
  if (base_prefix.empty()) return {};
  const std::string own = std::string(base_prefix) + ".";
  std::set<std::string> found;
  for (const CheckpointTensor& tensor : tensors_) {
    if (!tensor.original.ends_with(kAnchor)) continue;
    std::string prefix = tensor.original.substr(0, tensor.original.size() - kAnchor.size());
    if (prefix.empty() || prefix == own) return {};
    if (prefix.ends_with("." + own)) prefix.erase(prefix.size() - own.size());
    if (prefix.ends_with(".")) found.insert(std::move(prefix));
  }
  if (found.size() > 1) {
    std::vector<std::string> shown;
    for (const std::string& prefix : found) shown.push_back(printable(prefix));
    throw Error(ErrorCode::format,
                fmt::format("{}: holds the weights of {} models, under {}; keep one model's",
                            folder_.string(), found.size(), listed(shown, 5)));
  }
  return found.empty() ? std::string() : *found.begin();
}

void Checkpoint::canonicalize(std::string_view base_prefix, const ModuleAlias& alias) {
  base_prefix_ = base_prefix;
  alias_ = alias;
  foreign_prefix_ = find_foreign_prefix(base_prefix);
  index_.clear();
  for (CheckpointTensor& tensor : tensors_)
    tensor.name = canonical_name(tensor.original, foreign_prefix_, base_prefix);
  apply(alias);
  for (size_t i = 0; i < tensors_.size(); ++i) {
    CheckpointTensor& tensor = tensors_[i];
    const auto [it, added] = index_.emplace(tensor.name, i);
    if (!added)
      throw Error(ErrorCode::format, fmt::format("{}: {} and {} are the same weight, {}; remove one",
                                                 folder_.string(), printable(tensors_[it->second].view.name),
                                                 printable(tensor.view.name), printable(tensor.name)));
  }
  for (CheckpointTensor& tensor : tensors_) {
    tensor.role = is_buffer(tensor.name) ? TensorRole::buffer : TensorRole::weight;
    tensor.owner.clear();
  }
  const auto claim = [&](const std::string& owner, const std::string& component, TensorRole role) {
    if (const auto it = index_.find(component); it != index_.end()) {
      tensors_[it->second].role = role;
      tensors_[it->second].owner = owner;
    }
  };
  for (const CheckpointTensor& tensor : tensors_) {
    const std::string module(module_of(tensor.name));
    if (module.empty()) continue;
    const std::string owner = tensor.name;
    if (tensor.view.dtype == Dtype::u32 || index_.contains(module + ".scales")) {
      claim(owner, module + ".scales", TensorRole::component);
      claim(owner, module + ".biases", TensorRole::component);
    }
    const TensorRole role =
        tensor.view.dtype == Dtype::i8 ? TensorRole::component : TensorRole::stray_component;
    claim(owner, owner + ".scale", role);
    claim(owner, owner + ".zero_point", role);
  }
}

void Checkpoint::apply(const ModuleAlias& alias) {
  const auto has = [&](const std::string& prefix) {
    return std::ranges::any_of(
        tensors_, [&](const CheckpointTensor& tensor) { return tensor.name.starts_with(prefix); });
  };
  const std::string of_module = std::string(alias.module) + ".";
  for (const std::string_view other : alias.others) {
    const std::string of_other = std::string(other) + ".";
    if (other.empty() || has(of_module)) return;
    for (CheckpointTensor& tensor : tensors_)
      if (tensor.name.starts_with(of_other)) tensor.name.replace(0, of_other.size(), of_module);
  }
}

const CheckpointTensor* Checkpoint::find(std::string_view name) const {
  const auto it = index_.find(std::string(name));
  return it == index_.end() ? nullptr : &tensors_[it->second];
}

std::vector<std::string> Checkpoint::weight_names() const {
  std::vector<std::string> names;
  for (const CheckpointTensor& tensor : tensors_)
    if (tensor.role == TensorRole::weight) names.push_back(tensor.name);
  return names;
}

uint64_t Checkpoint::bytes() const noexcept {
  uint64_t total = 0;
  for (const CheckpointFile& file : files_) total += file.bytes;
  return total;
}

void Checkpoint::require_unwritten() const {
  for (const CheckpointFile& file : files_)
    if (file.stamp.was_written(FileStamp::of(file.path)))
      throw Error(ErrorCode::io,
                  fmt::format("{}: was written to while it was in use, so that the results belong to no "
                              "single model; run again, and replace files by renaming",
                              file.path.string()));
}

void Checkpoint::release(std::span<const std::byte> data) const noexcept {
  for (const TensorFile& file : opened_) file.release(data);
}

}  // namespace mlxe
