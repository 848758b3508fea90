// Finds the parts of a task's item (text, label, score, ...) in the columns of a row.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "mlx_encoder/task_data.h"
#include "texts/row_file.h"

namespace mlxe {

// A part of an item, and the usual names of its column.
struct TaskRole {
  const char* name;
  std::vector<std::string> usual;
};

// Finds the columns of the roles in the first row, and their cells in every row.
class TaskColumns {
 public:
  // Errors: usage (options.columns names a role that the task does not have).
  TaskColumns(Task task, const std::filesystem::path& file, const TaskDataOptions& options);

  // Of a Parquet file's columns, those that may belong to a role; all if there are none, for the error that names them.
  std::vector<std::string> needed(std::vector<std::string> columns) const;

  bool has(const Row& row, const std::string& role);

  // Cells. Errors: usage (no such column: names the role), format (another type, or this row lacks the column; names
  // file and line).
  std::string text(const Row& row, const std::string& role);  // a string, or a number as it is written
  double number(const Row& row, const std::string& role);     // finite
  std::vector<std::string> texts(const Row& row,
                                 const std::string& role);  // a text, or a list of strings or whole numbers

 private:
  const std::vector<std::string>& usual(const std::string& role) const;
  const nlohmann::ordered_json& cell(const Row& row, const std::string& role);

  std::filesystem::path file_;
  const std::vector<TaskRole>& roles_;
  std::map<std::string, std::string> found_;
  std::set<std::string> seen_;
};

}  // namespace mlxe
