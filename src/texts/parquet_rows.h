// Rows of Parquet files: the columns of texts, numbers and lists of them. Others, such as structures, are left out.
#pragma once

#include <filesystem>
#include <functional>

#include "texts/row_file.h"

namespace mlxe {

inline constexpr const char* kParquet = "parquet";  // the format's name

// As read_rows() of a regular file. Without `choose`, columns of bytes that are not said to be texts are left out. Some 1000
// rows and a page of each column are in memory at a time. Errors: also unsupported (a compression that is not read).
void read_parquet_rows(const std::filesystem::path& file, const std::function<bool(const Row&)>& take,
                       IfEmpty if_empty, const ChooseColumns& choose);

}  // namespace mlxe
