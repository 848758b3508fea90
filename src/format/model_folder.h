// What belongs to a model folder, for who is about to replace one.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace mlxe {

// Written by conversions, beside config.json, README.md and the weights.
inline constexpr const char* kProvenanceFile = "mlx_encoder.json";     // convert/provenance.h
inline constexpr const char* kRecipeFile = "mlx_encoder_recipe.json";  // docs/mixed.md
inline constexpr const char* kParetoFile = "mlx_encoder_pareto.svg";

// A path as mlx_encoder.json spells it, and back: bytes that are not UTF-8 are `\xE7`, a backslash is two.
std::string provenance_name(std::string_view path);
std::string provenance_path(std::string_view name);

// Passes a folder that is evidently a model's and holds nothing else: a config.json with a model_type, and
// weights or mlx_encoder.json. Files count as a model's that mlx_encoder.json names or that are called as
// Hugging Face's tools call them. Errors: usage (names what must not be lost), io.
void require_only_a_model(const std::filesystem::path& folder);

}  // namespace mlxe
