// Rows of named cells, of texts and of task data: .tsv with a header line, .jsonl with an object a line, .parquet, .txt
// with a text a line. UTF-8 throughout.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace mlxe {

struct Row {
  size_t line = 0;    // in the file, from 1; of a Parquet file the row
  uint64_t past = 0;  // bytes of the file up to the end of the row, about
  // An object in the order of the columns. The cells of a .tsv file are strings; a text alone (a line of a
  // .txt file, a JSON string in a .jsonl file) is the cell "text".
  nlohmann::ordered_json cells;
  const char* unit = "line";  // what `line` counts: "line" or "row"
};

// The format of a file in lower case: `given`; if that is empty, the file's ending; if there is none, "txt".
std::string file_format(const std::filesystem::path& file, const std::string& given);

// The same for a file of rows: "txt", "tsv", "jsonl" or "parquet". Errors: usage (another format).
std::string row_format(const std::filesystem::path& file, const std::string& given);

enum class IfEmpty { refuse, accept };

// Called with the columns of a Parquet file that can be read; returns those that are needed.
using ChooseColumns = std::function<std::vector<std::string>(std::vector<std::string> columns)>;

// Calls `take` with each row until it returns false; `format` as row_format takes it. `choose`: without it, all columns of a
// Parquet file are read; the other formats are read whole. Errors: not_found, io, usage (another format, no rows with
// IfEmpty::refuse), format (a malformed row: file and line or row).
void read_rows(const std::filesystem::path& file, const std::string& format,
               const std::function<bool(const Row&)>& take, IfEmpty if_empty = IfEmpty::refuse,
               const ChooseColumns& choose = {});
// The same for an open stream, called `where` in messages. `format`: a result of row_format(). Errors: also usage (Parquet).
void read_rows(std::istream& stream, const std::string& where, const std::string& format,
               const std::function<bool(const Row&)>& take, IfEmpty if_empty = IfEmpty::refuse);

// The lines of a text file, without their ends, until `take` returns false. Errors: not_found, io, format.
void read_lines(const std::filesystem::path& file,
                const std::function<bool(const std::string& line, size_t number)>& take);
void read_lines(std::istream& stream, const std::string& where,
                const std::function<bool(const std::string& line, size_t number)>& take);

[[noreturn]] void malformed(const std::string& where, size_t line, const std::string& what);
[[noreturn]] void malformed(const std::string& where, const Row& row, const std::string& what);

}  // namespace mlxe
