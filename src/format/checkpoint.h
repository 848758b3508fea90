// A model folder: config.json and the tensors of its weight files under canonical names.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/file_stamp.h"
#include "format/adapter.h"
#include "format/config.h"
#include "format/quantization_config.h"
#include "format/stored_weight.h"
#include "format/tensor_file.h"
#include "mlx_encoder/types.h"

namespace mlxe {

enum class TensorRole {
  weight,           // a tensor of the model; a quantized weight has the name of its codes
  component,        // scales, biases, scale or zero_point of the quantized weight `owner`
  stray_component,  // .scale or .zero_point of a weight that is stored as floats; not read
  buffer,           // a constant in old checkpoints (position_ids); not read
};

struct CheckpointTensor {
  std::string name;      // canonical: base prefix stripped, LayerNorm.gamma/beta renamed
  std::string original;  // as in the file; of a parametrized weight as without that
  TensorView view;       // dtype and shape as stored
  size_t file = 0;       // index into Checkpoint::files()
  TensorRole role = TensorRole::weight;
  std::string owner;  // of a component: canonical name of its weight
};

struct CheckpointFile {
  std::filesystem::path path;
  uint64_t bytes = 0;
  FileStamp stamp;  // when it was mapped
};

// The module of a weight: "x.weight" -> "x". Empty if the name has another ending.
std::string_view module_of(std::string_view tensor_name) noexcept;

// A module that some files hold under another name only: the first of `others` that they have.
struct ModuleAlias {
  std::string_view module = {};
  std::array<std::string_view, 2> others = {};
};

class TaskAdapters;

// Move-only. Views and StoredWeights live as long as the checkpoint. Const members are thread-safe.
class Checkpoint {
 public:
  // Finds the weights as transformers does: model.safetensors, else the shards of
  // model.safetensors.index.json, else pytorch_model.bin or its shards, else (as MLX does) every
  // model*.safetensors, else every (pytorch_)model*.bin, .pt and .pth, else an export, which is one file: model.onnx or the
  // only other one, in the folder or its subfolder onnx. Warns of each file it ignores, unless
  // it is the same weights in another format. Errors: not_found, io, format, unsupported (weights in another
  // format alone).
  static Checkpoint open(const std::filesystem::path& folder, const Warning& warn = {});

  const std::filesystem::path& folder() const noexcept { return folder_; }
  // The folder of config.json, the weights and the tokenizer: `folder`, or the one that modules.json names
  // in it.
  const std::filesystem::path& transformer_folder() const noexcept { return transformer_folder_; }
  const Config& config() const noexcept { return config_; }
  const QuantizationConfig& quantization() const noexcept { return quantization_; }
  // The scheme under config.json's "mlx_encoder", which our converter writes: Mode::int8 or Mode::fake.
  // None if that key is absent.
  Mode declared_mode() const noexcept { return declared_mode_; }

  // Removes two prefixes from every name that has them: foreign_prefix(), then `base_prefix` + "." ("bert":
  // bert.pooler.dense.weight becomes pooler.dense.weight). Each call starts from the original names; before
  // the first call the names are the original ones. Errors: format (two tensors get the same name, or the
  // weights are of several models). `alias`: for names after that.
  void canonicalize(std::string_view base_prefix, const ModuleAlias& alias = {});
  // Merges the adapters of the folder (format/adapted_folder.h) into the weights, in order and once. Call it after
  // canonicalize(). The changed matrices are float32 in memory. Errors: those of merge_change; unsupported (a matrix
  // that is stored quantized), format (a tensor of an adapter that belongs to no tensor of the model: names it).
  void merge_adapters();
  // The prefix of all names in a model that was saved inside another module, with its dot: "module.",
  // "0.auto_model.". Usually empty.
  const std::string& foreign_prefix() const noexcept { return foreign_prefix_; }

  const std::vector<CheckpointTensor>& tensors() const noexcept { return tensors_; }
  const CheckpointTensor* find(std::string_view name) const;  // by canonical name; nullptr if absent
  bool has(std::string_view name) const { return find(name) != nullptr; }

  // The weight with this canonical name and its components, checked against each other and config.json.
  // Errors: format (absent; components missing or contradicting each other), unsupported (a dtype that no
  // scheme has).
  StoredWeight stored(std::string_view name) const;
  // Canonical names of all weights (role weight), in the order of the files.
  std::vector<std::string> weight_names() const;

  const std::vector<CheckpointFile>& files() const noexcept { return files_; }
  uint64_t bytes() const noexcept;  // of the weight files together
  // Throws if a weight file was written to since it was mapped: a write changes the mapped weights.
  // (Replacing the file does not.) Errors: io (names the file).
  void require_unwritten() const;
  // Gives the pages behind these bytes of a tensor back to the system. They are read again on the next
  // access.
  void release(std::span<const std::byte> data) const noexcept;

 private:
  Checkpoint(std::filesystem::path folder, std::filesystem::path transformer_folder, Config config);
  static Checkpoint open_folder(const std::filesystem::path& folder, const Warning& warn);
  StoredWeight stored_mlx(const CheckpointTensor& weight, const CheckpointTensor& scales) const;
  StoredWeight stored_int8(const CheckpointTensor& weight) const;
  [[noreturn]] void fail(const CheckpointTensor& tensor, const std::string& what) const;

  void choose_task(const TaskAdapters& adapters, const Warning& warn);
  void read_adapters(const Warning& warn);
  void read_task(const Adapter& adapter, const Warning& warn);
  std::string name_in_model(std::string_view of_adapter) const;
  CheckpointTensor& mergeable(const Adapter& adapter, const std::string& module, const char* ending);
  void keep_merged(CheckpointTensor& tensor, std::vector<float> values);
  void replace(const Adapter& adapter, const std::string& of_adapter, const TensorView& by);

  std::string find_foreign_prefix(std::string_view base_prefix) const;
  void apply(const ModuleAlias& alias);

  std::filesystem::path folder_, transformer_folder_;
  Config config_;
  QuantizationConfig quantization_;
  Mode declared_mode_ = Mode::none;
  std::vector<TensorFile> opened_;
  std::vector<CheckpointFile> files_;
  std::vector<CheckpointTensor> tensors_;
  std::unordered_map<std::string, size_t> index_;
  std::string base_prefix_, foreign_prefix_;
  ModuleAlias alias_;
  std::vector<Adapter> adapters_;  // until they are merged, and while tensors_ point into them
  std::vector<std::vector<float>> merged_;
  bool has_merged_ = false;
};

}  // namespace mlxe
