// The names of tasks and taggings.
#include <fmt/format.h>

#include <array>
#include <string>
#include <vector>

#include "base/text.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/evaluate.h"

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

Tagging parse_tagging(std::string_view spelling) {
  const std::string text = lowercase(spelling);
  if (text == "lenient") return Tagging::lenient;
  if (text == "iob1") return Tagging::iob1;
  if (text == "iob2") return Tagging::iob2;
  if (text == "bioes") return Tagging::bioes;
  throw Error(ErrorCode::usage,
              fmt::format("the tagging \"{}\" is unknown; expected lenient, IOB1, IOB2 or BIOES", spelling));
}

}  // namespace mlxe
