// One more column of a file of texts: gold labels or scores.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace mlxe::cli {

// The column's values, one a row and in the rows' order as TextSource::read gives them; nothing where a .tsv
// file's header or the first object of a .jsonl file has no such column, or the format has no columns.
// Numbers of a .jsonl file come as written. Errors: not_found, io, format (a row without the column, named by
// line).
std::optional<std::vector<std::string>> read_column(const std::filesystem::path& file,
                                                    const std::string& format, const std::string& column);

}  // namespace mlxe::cli
