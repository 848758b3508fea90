#include "format/checkpoint.h"

#include <fmt/format.h>

#include <functional>
#include <utility>

#include "base/file_errors.h"
#include "format/json_file.h"
#include "format/weight_files.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

// BERT's first TensorFlow checkpoints: what transformers renames when it loads them.
std::string canonical_name(std::string_view original, std::string_view base_prefix) {
  std::string name(original);
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

}  // namespace

Checkpoint::Checkpoint(fs::path folder, Config config)
    : folder_(std::move(folder)), config_(std::move(config)) {}

Checkpoint Checkpoint::open(const fs::path& folder, const Warning& warn) {
  return with_file_errors([&] { return open_folder(folder, warn); });
}

Checkpoint Checkpoint::open_folder(const fs::path& folder, const Warning& warn) {
  if (!fs::exists(folder))
    throw Error(ErrorCode::not_found,
                fmt::format("{}: no such folder; give a model folder", folder.string()));
  if (!fs::is_directory(folder))
    throw Error(ErrorCode::not_found,
                fmt::format("{}: not a folder; give the folder that holds config.json", folder.string()));
  Checkpoint checkpoint(folder, Config::read(folder / "config.json"));
  checkpoint.quantization_ = QuantizationConfig::read(checkpoint.config_, warn);
  checkpoint.declared_mode_ = read_declared_mode(checkpoint.config_);

  WeightFiles weights = open_weight_files(folder, warn);
  checkpoint.opened_ = std::move(weights.files);
  for (const SafetensorsFile& file : checkpoint.opened_)
    checkpoint.files_.push_back({file.path(), file.size()});
  for (const WeightFiles::Location& at : weights.tensors) {
    const TensorView& view = checkpoint.opened_[at.file].tensors()[at.tensor];
    checkpoint.tensors_.push_back(
        {.name = {}, .original = view.name, .view = view, .file = at.file, .owner = {}});
  }
  checkpoint.canonicalize("");
  return checkpoint;
}

void Checkpoint::canonicalize(std::string_view base_prefix) {
  base_prefix_ = base_prefix;
  index_.clear();
  for (size_t i = 0; i < tensors_.size(); ++i) {
    CheckpointTensor& tensor = tensors_[i];
    tensor.name = canonical_name(tensor.original, base_prefix);
    const auto [it, added] = index_.emplace(tensor.name, i);
    if (!added)
      throw Error(ErrorCode::format, fmt::format("{}: {} and {} are the same weight, {}; remove one",
                                                 folder_.string(), printable(tensors_[it->second].original),
                                                 printable(tensor.original), printable(tensor.name)));
  }
  for (CheckpointTensor& tensor : tensors_) {
    tensor.role = is_buffer(tensor.name) ? TensorRole::buffer : TensorRole::weight;
    tensor.owner.clear();
  }
  const auto claim = [&](const std::string& owner, const std::string& part, TensorRole role) {
    if (const auto it = index_.find(part); it != index_.end()) {
      tensors_[it->second].role = role;
      tensors_[it->second].owner = owner;
    }
  };
  for (const CheckpointTensor& tensor : tensors_) {
    const std::string module(module_of(tensor.name));
    if (module.empty()) continue;
    const std::string owner = tensor.name;
    if (tensor.view.dtype == Dtype::u32 || index_.contains(module + ".scales")) {
      claim(owner, module + ".scales", TensorRole::part);
      claim(owner, module + ".biases", TensorRole::part);
    }
    const TensorRole role = tensor.view.dtype == Dtype::i8 ? TensorRole::part : TensorRole::fake_part;
    claim(owner, owner + ".scale", role);
    claim(owner, owner + ".zero_point", role);
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

void Checkpoint::release(std::span<const std::byte> data) const noexcept {
  for (const SafetensorsFile& file : opened_) {
    // Pointers into different mappings are compared through std::less, which orders them all.
    const auto bytes = file.bytes();
    const std::less<const std::byte*> before;
    if (!before(data.data(), bytes.data()) && !before(bytes.data() + bytes.size(), data.data() + data.size()))
      file.release(data);
  }
}

}  // namespace mlxe
