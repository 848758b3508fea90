// Parquet files of texts: rows of UTF-8 in the order of their numbers, or one Error.
#include <string>

#include "fuzz_input.h"
#include "texts/row_file.h"

using mlxe::fuzz::expect_result_or_error;
using mlxe::fuzz::require;

namespace {

void require_utf8(const nlohmann::ordered_json& cell) {
  if (cell.is_string())
    require(mlxe::first_invalid_utf8(cell.get_ref<const std::string&>()) == mlxe::kValidUtf8);
  if (cell.is_array())
    for (const auto& element : cell) require_utf8(element);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const mlxe::fuzz::Folder folder;
  constexpr size_t kMostRows = 10000;  // of null cells a small file may have billions
  mlxe::fuzz::put(folder.path / "f.parquet", {reinterpret_cast<const char*>(data), size});
  size_t rows = 0;
  const auto take = [&](const mlxe::Row& row) {
    require(row.line == ++rows);
    for (const auto& [column, cell] : row.cells.items()) require_utf8(cell);
    return rows < kMostRows;
  };
  const auto all = [](std::vector<std::string> columns) { return columns; };
  expect_result_or_error(
      [&] { mlxe::read_rows(folder.path / "f.parquet", "parquet", take, mlxe::IfEmpty::accept, all); });
  return 0;
}
