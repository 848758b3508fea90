// The names of tasks.
#include <fmt/format.h>

#include <array>
#include <string>
#include <vector>

#include "mlx_encoder/error.h"
#include "mlx_encoder/task_data.h"

namespace mlxe {
namespace {

constexpr std::array kTasks{Task::similarity, Task::classification, Task::nli,
                            Task::ner,        Task::rerank,         Task::retrieval};

}  // namespace

Task parse_task(std::string_view spelling) {
  for (Task task : kTasks)
    if (spelling == name(task)) return task;
  std::vector<std::string> all;
  for (Task task : kTasks) all.emplace_back(name(task));
  throw Error(ErrorCode::usage,
              fmt::format("the task \"{}\" is unknown; expected {}", spelling, fmt::join(all, ", ")));
}

const char* name(Task task) noexcept {
  switch (task) {
    case Task::similarity:
      return "similarity";
    case Task::classification:
      return "classification";
    case Task::nli:
      return "nli";
    case Task::ner:
      return "ner";
    case Task::rerank:
      return "rerank";
    case Task::retrieval:
      return "retrieval";
  }
  return "";
}

}  // namespace mlxe
