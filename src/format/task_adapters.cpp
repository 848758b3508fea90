#include "format/task_adapters.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/wording.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kOriginal = ".parametrizations.weight.original";
constexpr std::string_view kTaskA = ".parametrizations.weight.0.lora_A",
                           kTaskB = ".parametrizations.weight.0.lora_B";

// The matrix of one task.
TensorView slice(const TensorView& all, size_t task, size_t tasks) {
  TensorView one = all;
  one.shape.erase(one.shape.begin());
  one.data = all.data.subspan(task * (all.data.size() / tasks), all.data.size() / tasks);
  return one;
}

}  // namespace

std::string without_parametrization(std::string_view tensor) {
  return tensor.ends_with(kOriginal)
             ? fmt::format("{}.weight", tensor.substr(0, tensor.size() - kOriginal.size()))
             : std::string(tensor);
}

std::vector<std::string> task_names(const Config& config) {
  std::vector<std::string> names = config.get_or<std::vector<std::string>>(kTasks, {});
  if (std::set<std::string>(names.begin(), names.end()).size() != names.size())
    throw Error(ErrorCode::format, fmt::format("{}: \"{}\" has a name twice", config.where(), kTasks));
  return names;
}

std::string listed_tasks(std::vector<std::string> names) {
  constexpr size_t kMost = 8;
  for (std::string& name : names) name = printable(name);
  return listed(names, kMost);
}

bool TaskAdapters::take(const TensorView& tensor) {
  const std::string_view name = tensor.name;
  const bool is_a = name.ends_with(kTaskA);
  if (!is_a && !name.ends_with(kTaskB)) return false;
  Matrices& matrices = matrices_[std::string(name.substr(0, name.size() - kTaskA.size()))];
  (is_a ? matrices.a : matrices.b) = tensor;
  return true;
}

Adapter TaskAdapters::chosen(const Config& config, const fs::path& file) const {
  const std::vector<std::string> tasks = task_names(config);
  const auto task = config.get<std::string>(kDefaultTask);
  const auto found = std::ranges::find(tasks, task);
  if (found == tasks.end())
    throw Error(ErrorCode::format, fmt::format("{}: \"{}\" is {}, expected one of {}", config.where(),
                                               kDefaultTask, printable(task), listed_tasks(tasks)));
  Adapter adapter;
  adapter.path = file;
  adapter.config = {.where = config.where(),
                    .form = AdapterForm::task,
                    .rank = static_cast<double>(config.positive("lora_rank")),
                    .alpha = config.get<double>("lora_alpha")};
  adapter.slices.reserve(2 * matrices_.size());
  const auto slice_of = [&](const std::string& module, const TensorView& all) {
    if (all.shape.size() != 3 || all.shape[0] != static_cast<int64_t>(tasks.size()) || !is_float(all.dtype))
      throw Error(
          ErrorCode::format,
          fmt::format("{}: {} has a change that is {} {}, expected floats of three dimensions, the "
                      "first one of {} tasks (\"{}\" of config.json)",
                      file.string(), printable(module), all.name.empty() ? "no" : mlxe::name(all.dtype),
                      all.name.empty() ? "matrix" : to_string(all.shape), tasks.size(), kTasks));
    return &adapter.slices.emplace_back(slice(all, static_cast<size_t>(found - tasks.begin()), tasks.size()));
  };
  for (const auto& [module, matrices] : matrices_)
    adapter.changes[module] = {.a = slice_of(module, matrices.a), .b = slice_of(module, matrices.b)};
  return adapter;
}

}  // namespace mlxe
