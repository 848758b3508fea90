// Low-rank changes for several tasks in the weights' own file, as torch's parametrizations store them
// (jina-embeddings-v3, whose code is jinaai/xlm-roberta-flash-implementation, modeling_lora.py):
//
//   MODULE.parametrizations.weight.original    the weight
//   MODULE.parametrizations.weight.0.lora_A    [tasks, rank, in]    .lora_B  [tasks, out, rank]    of a linear
//                                              [tasks, rows, rank]           [tasks, rank, columns]   of an embedding
//
// config.json names the tasks ("lora_adaptations") and may choose one ("default_task").
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "format/adapter.h"
#include "format/config.h"
#include "format/tensor_file.h"

namespace mlxe {

inline constexpr const char* kTasks = "lora_adaptations";
inline constexpr const char* kDefaultTask = "default_task";

// "x.parametrizations.weight.original" -> "x.weight"; other names stay as they are.
std::string without_parametrization(std::string_view tensor);

// The matrices of all tasks. The views must outlive what comes of them.
class TaskAdapters {
 public:
  // Takes the tensor if it is one of such matrices.
  bool take(const TensorView& tensor);
  bool empty() const noexcept { return matrices_.empty(); }

  // The change of the task that `config` chooses. `file`: the weights, for messages. Errors: format (matrices of another
  // number of tasks than config.json names, one of two matrices alone, an unknown task).
  Adapter chosen(const Config& config, const std::filesystem::path& file) const;

 private:
  struct Matrices {
    TensorView a, b;
  };
  std::map<std::string, Matrices> matrices_;  // by module, named as in the file
};

// The names of the tasks, in the order of the matrices; empty: the model has none. Errors: format (no list of names that
// differ).
std::vector<std::string> task_names(const Config& config);
// As messages list them.
std::string listed_tasks(std::vector<std::string> names);

}  // namespace mlxe
