// Paths of the modules of a sentence-transformers folder.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "format/config.h"

namespace mlxe {

// The folder of an entry of modules.json, relative to the model's: "1_Pooling". Errors: format (a folder
// outside the model's).
std::string module_folder(const Config& entry);

// Whether a type in modules.json is a StaticEmbedding (format/static_embedding.h), or any module that begins with texts.
bool is_static_embedding(std::string_view type) noexcept;
bool is_encoder(std::string_view type) noexcept;

// The folder of the transformer's files, relative to `folder`: "0_Transformer" if modules.json says so,
// else "". Errors: io, format, unsupported (the folder has none, or several: names what is read instead).
std::filesystem::path transformer_path(const std::filesystem::path& folder);

// The folder of the LogitScore module, the head of a CrossEncoder that is a language model. None: modules.json has no
// such module. Errors: io, format.
std::optional<std::filesystem::path> logit_score_folder(const std::filesystem::path& folder);

}  // namespace mlxe
