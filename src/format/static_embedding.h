// The module StaticEmbedding of sentence-transformers: the vector of a text is the mean of its tokens' rows of a table.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace mlxe {

inline constexpr const char* kStaticModelType =
    "static_embedding";                                   // in our config.json; the module has none
inline constexpr const char* kStaticTable = "embedding";  // the module of the table

// The config.json that the module's weights in `folder` imply. Errors: not_found (no weights), format (they are no
// table), io.
std::string static_config(const std::filesystem::path& folder);

// Most tokens of a text by the module's tokenizer.json, whose "truncation" counts here as nowhere else; 0: no limit.
// Errors: io, format.
int64_t static_token_limit(const std::filesystem::path& tokenizer_file);

}  // namespace mlxe
