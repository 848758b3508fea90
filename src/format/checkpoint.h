// A model folder: config.json and the tensors of its safetensors files under canonical names.
#pragma once

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
#include "format/config.h"
#include "format/quantization_config.h"
#include "format/safetensors.h"
#include "format/stored_weight.h"
#include "mlx_encoder/types.h"

namespace mlxe {

enum class TensorRole {
  weight,           // a tensor of the model; quantized ones go by the name of their codes
  component,        // scales, biases, scale or zero_point of the quantized weight `owner`
  stray_component,  // .scale or .zero_point beside a weight that is stored as floats: nothing reads it
  buffer,           // a constant old checkpoints carry (position_ids): nothing reads it
};

struct CheckpointTensor {
  std::string name;      // canonical: base prefix stripped, LayerNorm.gamma/beta renamed
  std::string original;  // as in the file
  TensorView view;       // dtype and shape as stored
  size_t file = 0;       // index into Checkpoint::files()
  TensorRole role = TensorRole::weight;
  std::string owner;  // canonical name of the weight a component belongs to
};

struct CheckpointFile {
  std::filesystem::path path;
  uint64_t bytes = 0;
  FileStamp stamp;  // when it was mapped
};

// "x.weight" -> "x", the module a weight belongs to; empty if the name has another ending.
std::string_view module_of(std::string_view tensor_name) noexcept;

// Move-only. Views and StoredWeights live as long as the checkpoint. Const members are thread-safe.
class Checkpoint {
 public:
  // Finds the weights as transformers does: model.safetensors first, else the shards of
  // model.safetensors.index.json, else (as MLX does) every model*.safetensors. What it passes over is said
  // through `warn`. Errors: not_found, io, format, unsupported (only pytorch_model.bin or another format is
  // there).
  static Checkpoint open(const std::filesystem::path& folder, const Warning& warn = {});

  const std::filesystem::path& folder() const noexcept { return folder_; }
  // Where config.json, the weights and the tokenizer are: `folder`, or the one modules.json names in it.
  const std::filesystem::path& transformer_folder() const noexcept { return transformer_folder_; }
  const Config& config() const noexcept { return config_; }
  const QuantizationConfig& quantization() const noexcept { return quantization_; }
  // What our own converter noted under "mlx_encoder": Mode::int8, Mode::fake, or none where there is no such
  // note.
  Mode declared_mode() const noexcept { return declared_mode_; }

  // Strips `base_prefix` + "." once from every name that has it ("bert": bert.pooler.dense.weight becomes
  // pooler.dense.weight), and before it the prefix a wrapper left, see foreign_prefix(); calling it again
  // starts over from the original names. Until it is called names are unstripped. Errors: format (two tensors
  // get the same name, or there are several models' weights).
  void canonicalize(std::string_view base_prefix);
  // What stands before the model's names where it was saved inside another module, with its dot: "module.",
  // "0.auto_model."; empty as a rule.
  const std::string& foreign_prefix() const noexcept { return foreign_prefix_; }

  const std::vector<CheckpointTensor>& tensors() const noexcept { return tensors_; }
  const CheckpointTensor* find(std::string_view name) const;  // by canonical name; nullptr if absent
  bool has(std::string_view name) const { return find(name) != nullptr; }

  // The weight with this canonical name, its components gathered and checked against each other and config.json.
  // Errors: format (absent, components missing or contradicting), unsupported (a dtype no scheme here has).
  StoredWeight stored(std::string_view name) const;
  // Canonical names of all weights (role weight), in the order of the files.
  std::vector<std::string> weight_names() const;

  const std::vector<CheckpointFile>& files() const noexcept { return files_; }
  uint64_t bytes() const noexcept;  // of the weight files together
  // The weights are mapped: what is written into their files shows in them. A file put in another's place
  // does not. Errors: io (names a file that was written to since it was mapped).
  void require_unwritten() const;
  // Lets the system take back the memory behind these bytes of a tensor; they are read again when touched.
  void release(std::span<const std::byte> data) const noexcept;

 private:
  Checkpoint(std::filesystem::path folder, std::filesystem::path transformer_folder, Config config);
  static Checkpoint open_folder(const std::filesystem::path& folder, const Warning& warn);
  StoredWeight stored_mlx(const CheckpointTensor& weight, const CheckpointTensor& scales) const;
  StoredWeight stored_int8(const CheckpointTensor& weight) const;
  [[noreturn]] void fail(const CheckpointTensor& tensor, const std::string& what) const;

  std::string find_foreign_prefix(std::string_view base_prefix) const;

  std::filesystem::path folder_, transformer_folder_;
  Config config_;
  QuantizationConfig quantization_;
  Mode declared_mode_ = Mode::none;
  std::vector<SafetensorsFile> opened_;
  std::vector<CheckpointFile> files_;
  std::vector<CheckpointTensor> tensors_;
  std::unordered_map<std::string, size_t> index_;
  std::string base_prefix_, foreign_prefix_;
};

}  // namespace mlxe
