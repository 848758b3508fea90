#include "texts/task_columns.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

const std::vector<TaskRole>& roles(Task task) {
  static const std::map<Task, std::vector<TaskRole>> all{
      {Task::similarity,
       {{"text", {"text", "sentence1", "text1"}},
        {"pair", {"text_pair", "sentence2", "text2"}},
        {"score", {"score", "similarity_score", "similarity"}}}},
      {Task::classification,
       {{"text", {"text", "sentence"}}, {"pair", {"text_pair"}}, {"label", {"label", "gold_label"}}}},
      {Task::nli,
       {{"text", {"premise", "text", "sentence1"}},
        {"pair", {"hypothesis", "text_pair", "sentence2"}},
        {"label", {"label", "gold_label"}}}},
      {Task::ner, {{"tokens", {"tokens", "words"}}, {"tags", {"ner_tags", "tags", "labels"}}}},
      {Task::rerank,
       {{"query", {"query", "question"}},
        {"positive", {"positive", "positives", "pos"}},
        {"negative", {"negative", "negatives", "neg"}},
        {"passage", {"passage", "document", "answer"}},
        {"relevance", {"relevant", "relevance", "label", "score"}}}},
      {Task::retrieval, {}}};
  return all.at(task);
}

}  // namespace

TaskColumns::TaskColumns(Task task, const std::filesystem::path& file, const TaskDataOptions& options)
    : file_(file), roles_(roles(task)) {
  for (const auto& [role, column] : options.columns) {
    std::vector<std::string> known;
    for (const TaskRole& r : roles_) known.emplace_back(r.name);
    if (std::ranges::find(known, role) == known.end())
      throw Error(ErrorCode::usage,
                  fmt::format("--column {}={}: {} has {}", role, column, mlxe::name(task),
                              known.empty() ? "fixed columns" : fmt::format("{}", fmt::join(known, ", "))));
    found_[role] = column;
  }
}

std::vector<std::string> TaskColumns::needed(std::vector<std::string> columns) const {
  std::vector<std::string> names;
  for (const std::string& column : columns) {
    const auto takes = [&](const TaskRole& role) {
      const auto named = found_.find(role.name);
      return named != found_.end() ? named->second == column
                                   : std::ranges::find(role.usual, column) != role.usual.end();
    };
    if (std::ranges::any_of(roles_, takes)) names.push_back(column);
  }
  return names.empty() ? columns : names;
}

bool TaskColumns::has(const Row& row, const std::string& role) {
  if (const auto named = found_.find(role); named != found_.end()) return row.cells.contains(named->second);
  for (const std::string& column : usual(role))
    if (row.cells.contains(column)) {
      found_[role] = column;
      return true;
    }
  return false;
}

std::string TaskColumns::text(const Row& row, const std::string& role) {
  const nlohmann::ordered_json& cell = this->cell(row, role);
  if (cell.is_string()) return cell.get<std::string>();
  if (!cell.is_number())
    malformed(file_, row, fmt::format("\"{}\" is neither a string nor a number", found_[role]));
  return cell.dump();
}

double TaskColumns::number(const Row& row, const std::string& role) {
  const std::string written = text(row, role);
  const std::optional<double> value = finite_number(written);
  if (!value)
    malformed(file_, row,
              fmt::format("\"{}\" is {}, expected a finite number", found_[role], printable(written)));
  return *value;
}

std::vector<std::string> TaskColumns::texts(const Row& row, const std::string& role) {
  const nlohmann::ordered_json& cell = this->cell(row, role);
  if (!cell.is_array()) return {text(row, role)};
  std::vector<std::string> all;
  for (const nlohmann::ordered_json& t : cell) {
    if (!t.is_string() && !t.is_number_integer())
      malformed(file_, row, fmt::format("\"{}\" holds something that is no string", found_[role]));
    all.push_back(t.is_string() ? t.get<std::string>() : t.dump());
  }
  return all;
}

const std::vector<std::string>& TaskColumns::usual(const std::string& role) const {
  return std::ranges::find(roles_, role, &TaskRole::name)->usual;
}

const nlohmann::ordered_json& TaskColumns::cell(const Row& row, const std::string& role) {
  if (has(row, role)) {
    seen_.insert(role);
    return row.cells.at(found_.at(role));
  }
  if (seen_.contains(role))
    malformed(file_, row, fmt::format("no \"{}\", which the rows before it have", found_.at(role)));
  std::vector<std::string> there;
  for (const auto& [column, value] : row.cells.items()) there.push_back(column);
  const auto named = found_.find(role);
  throw Error(
      ErrorCode::usage,
      fmt::format("{}: {} {}: no column for the {} (looked for {}; found {}); name one with --column {}=NAME",
                  file_.string(), row.unit, row.line, role,
                  named != found_.end() ? named->second : fmt::format("{}", fmt::join(usual(role), ", ")),
                  fmt::join(there, ", "), role));
}

}  // namespace mlxe
