// adapter_config.json: how the tensors of an adapter change a model, as PEFT or mlx-lm wrote it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mlx_encoder/types.h"

namespace mlxe {

inline constexpr const char* kAdapterConfig = "adapter_config.json";

// How an adapter stores its two matrices: PEFT's and mlx-lm's in files of their own, those of tasks in the model's
// (format/task_adapters.h).
enum class AdapterForm { peft, mlx, task };

struct AdapterConfig {
  std::string where;       // of the file, for messages
  std::string base_model;  // "base_model_name_or_path"; empty: not stated
  std::string task_type;   // "SEQ_CLS", ...; empty: not stated
  std::vector<std::string> modules_to_save;
  AdapterForm form = AdapterForm::peft;
  bool dora = false;
  bool root = false;  // rslora: alpha / sqrt(rank) instead of alpha / rank
  double rank = 8, alpha = 8;
  std::map<std::string, double> ranks, alphas;  // rank_pattern, alpha_pattern
  double scale = 0;                             // of mlx-lm alone

  // Errors: not_found, io, format; unsupported (an adapter of another kind, or a key that changes the result and is
  // not honoured). Warns of what it ignores.
  static AdapterConfig read(const std::filesystem::path& folder, const Warning& warn = {});

  // The factor of B @ A in this module ("bert.encoder.layer.0.attention.self.query"). Errors: format (the rank of its
  // matrices is another one than stated), unsupported (a pattern that is no plain name).
  double scaling(const std::string& module, int64_t rank_of_matrices) const;
};

// Whether the folder holds an adapter and no model. Throws no Error.
bool is_adapter_alone(const std::filesystem::path& folder);
// Says how the adapter in this folder is used: unsupported.
[[noreturn]] void refuse_adapter_alone(const std::filesystem::path& folder);

}  // namespace mlxe
