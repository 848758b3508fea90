// The `quantization` dictionary of an MLX model's config.json: the scheme of each module.
//
//   {"group_size": 64, "bits": 4, "mode": "affine",
//    "embeddings.word_embeddings": {"group_size": 64, "bits": 8}, "classifier": false}
//
// Keys of overrides are module paths (no ".weight") in the naming of the tool that wrote the file. A
// missing mode is affine, in an override too, whatever the global mode (as in mlx.nn's
// to_quantized(**override)).
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "format/config.h"
#include "mlx_encoder/quantize.h"

namespace mlxe {

class QuantizationConfig {
 public:
  QuantizationConfig() = default;  // nothing is quantized by MLX

  // Reads `quantization`, else an equal `quantization_config`. Warns of everything it ignores.
  // Errors: format (wrong types, bits or groups that don't exist), unsupported (another tool's quant_method).
  static QuantizationConfig read(const Config& config, const Warning& warn);

  // Whether config.json has the dictionary.
  bool present() const noexcept { return global_.has_value(); }
  const std::optional<Scheme>& global() const noexcept { return global_; }
  const std::map<std::string, std::optional<Scheme>, std::less<>>& overrides() const noexcept {
    return overrides_;
  }
  const std::string& where() const noexcept { return where_; }  // for messages: config.json: "quantization"

  struct Choice {
    std::optional<Scheme> scheme;  // nullopt: the module is declared unquantized
    std::string key;               // the override that was used; empty: the global values
  };
  // The scheme of one module that is known under several names. Needs present(). Leaves scheme.dtype unset.
  // Errors: format (two of the names have different overrides).
  Choice choose(std::span<const std::string> names) const;

 private:
  std::string where_;
  std::optional<Scheme> global_;
  std::map<std::string, std::optional<Scheme>, std::less<>> overrides_;
};

}  // namespace mlxe
