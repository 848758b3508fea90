// Where in a row the parts of a task's item are: the text, the label, the score.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "mlx_encoder/task_data.h"
#include "texts/row_file.h"

namespace mlxe {

// A part of an item, and the columns it is usually found in.
struct TaskRole {
  const char* name;
  std::vector<std::string> usual;
};

// Finds the roles' columns in the first row, and their cells in every one.
class TaskColumns {
 public:
  // Errors: usage (options.columns names a role the task has not).
  TaskColumns(Task task, const std::filesystem::path& file, const TaskDataOptions& options);

  bool has(const Row& row, const std::string& role);

  // Cells. Errors: usage (no such column: names the role), format (another type, or the column is missing from
  // this row: file and line).
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
