// Rows of named cells: .tsv with a header line, .jsonl with an object a line.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace mlxe {

struct Row {
  size_t line = 0;       // in the file, from 1
  nlohmann::json cells;  // an object; the cells of a .tsv file are strings
};

// Calls `take` with each row until it returns false. `format` is "tsv" or "jsonl"; empty: the file's ending.
// Errors: not_found, io, usage (another format, no rows), format (a malformed row: file and line).
void read_rows(const std::filesystem::path& file, const std::string& format,
               const std::function<bool(const Row&)>& take);

// The lines of a UTF-8 text file, without their ends, until `take` returns false. Errors: not_found, io,
// format.
void read_lines(const std::filesystem::path& file,
                const std::function<bool(const std::string& line, size_t number)>& take);

[[noreturn]] void malformed(const std::filesystem::path& file, size_t line, const std::string& what);

}  // namespace mlxe
