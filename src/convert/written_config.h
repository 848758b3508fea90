// The config.json of a converted folder.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "mlx_encoder/quantize.h"

namespace mlxe {

struct StoredForm {
  Scheme scheme;                            // as requested; decides between "quantization" and "mlx_encoder"
  bool any_quantized = false;               // whether some matrix is stored in it
  std::optional<Dtype> dtype;               // of float tensors; unset: that of the source
  std::map<std::string, Scheme> overrides;  // by module path; MLX modes only
};

// Sorted keys, indented by 4, `_name_or_path` and any older quantization removed, as mlx-lm writes it:
//   "quantization" and an equal "quantization_config" for MLX's modes,
//   "mlx_encoder": {"scheme": "int8" | "fake", "version": 1} for ours.
std::string written_config(const nlohmann::json& source, const StoredForm& form);

// Indented by 4 with a line break at the end.
std::string pretty(const nlohmann::json& value);

}  // namespace mlxe
