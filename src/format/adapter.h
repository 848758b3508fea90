// An adapter: low-rank changes of a model's matrices, and tensors that replace the model's.
//
//   PEFT    adapter_config.json, adapter_model.safetensors or adapter_model.bin, with tensors such as
//           base_model.model.MODULE.lora_A.weight [rank, in]      .lora_B.weight [out, rank]   .lora_B.bias [out]
//           base_model.model.MODULE.lora_embedding_A [rank, rows] .lora_embedding_B [columns, rank]
//           base_model.model.MODULE.lora_magnitude_vector [out]   (DoRA)
//           base_model.model.NAME                                  a tensor as it was trained: a bias, a classifier
//   mlx-lm  adapter_config.json, adapters.safetensors: MODULE.lora_a [in, rank], MODULE.lora_b [rank, out]
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "format/adapter_config.h"
#include "format/tensor_file.h"

namespace mlxe {

// W + scaling * B @ A, of one module.
struct LowRankChange {
  const TensorView* a = nullptr;
  const TensorView* b = nullptr;
  const TensorView* magnitude = nullptr;  // of DoRA
  const TensorView* bias = nullptr;       // is added to the module's, times the scaling
  bool of_embedding = false;              // lora_embedding_A, lora_embedding_B
};

// Move-only; the pointers are to tensors of `file` or to `slices`.
struct Adapter {
  AdapterConfig config;
  std::filesystem::path path;                         // of the file with the tensors
  std::optional<TensorFile> file;                     // none: the tensors are the model's file's
  std::vector<TensorView> slices;                     // parts of those
  std::map<std::string, LowRankChange> changes;       // by module, named as in the model
  std::map<std::string, const TensorView*> replaced;  // by tensor, named as in the model

  // Errors: those of AdapterConfig::read and of the file; unsupported (a tensor of another kind: names it), format (a
  // change without one of its two matrices).
  static Adapter read(const std::filesystem::path& folder, const Warning& warn = {});

  // The files of the adapter in this folder.
  static std::vector<std::filesystem::path> files(const std::filesystem::path& folder);
};

// The name of the file with an adapter's tensors among these names, the preferred one; empty if there is none.
std::string adapter_weights_among(const std::vector<std::string>& names);

// The merged values of a matrix [rows, columns], in float32 as PEFT computes them. `module` names it in the adapter.
// Errors: format (other shapes than the matrix's), numeric (a value is not finite).
std::vector<float> merge_change(const Adapter& adapter, const std::string& module,
                                const LowRankChange& change, const Shape& shape, std::vector<float> values);
// The same for the module's bias [rows].
std::vector<float> merge_bias(const Adapter& adapter, const std::string& module, const LowRankChange& change,
                              const Shape& shape, std::vector<float> values);

}  // namespace mlxe
