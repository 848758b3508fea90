// Merges adapters into the weights of a checkpoint.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "format/adapted_folder.h"
#include "format/checkpoint.h"
#include "format/json_file.h"
#include "format/task_adapters.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

// PEFT's name of a task, and the ending of transformers' class for it.
constexpr std::pair<std::string_view, std::string_view> kTaskClasses[] = {
    {"SEQ_CLS", "ForSequenceClassification"},
    {"TOKEN_CLS", "ForTokenClassification"},
    {"QUESTION_ANS", "ForQuestionAnswering"}};
// Matrices of a head with a row for each label.
constexpr std::string_view kLabelMatrices[] = {"classifier.weight", "classifier.out_proj.weight",
                                               "score.weight", "classification_head.out_proj.weight"};

constexpr int64_t kMostLabelsOfAdapter = 1'000'000;

// Whether PEFT saved the tensor with a module of this name ("classifier" has "classifier.dense.weight").
bool is_of_module(std::string_view tensor, const std::string& module) {
  return fmt::format(".{}", tensor).find(fmt::format(".{}.", module)) != std::string::npos;
}

bool is_saved_module(const AdapterConfig& config, std::string_view tensor) {
  return std::ranges::any_of(config.modules_to_save,
                             [&](const std::string& module) { return is_of_module(tensor, module); });
}

// "sentence-transformers/all-MiniLM-L6-v2" -> "models--sentence-transformers--all-MiniLM-L6-v2", a cache's folder.
std::string cached_name(std::string name) {
  for (size_t at; (at = name.find('/')) != name.npos;) name.replace(at, 1, "--");
  return "models--" + name;
}

// Whether the folder or its config.json has the name of the model that the adapter was trained on.
bool may_be_base(const fs::path& transformer, const Config& config, const std::string& base) {
  const fs::path path(base);
  const std::string name = (path.has_filename() ? path : path.parent_path()).filename().string();
  std::error_code failed;
  const fs::path real = fs::canonical(transformer / "config.json", failed);
  if (std::ranges::any_of(real,
                          [&](const fs::path& part) { return part == name || part == cached_name(base); }))
    return true;
  const auto stated = config.json().find("_name_or_path");
  return stated != config.json().end() && stated->is_string() &&
         fs::path(stated->get<std::string>()).filename() == name;
}

// "BertForMaskedLM", "BertModel" -> "BertForSequenceClassification".
std::string class_for(std::string name, std::string_view ending) {
  const size_t at = std::min(name.rfind("For"), name.rfind("Model"));
  return name.erase(std::min(at, name.size())) + std::string(ending);
}

}  // namespace

void Checkpoint::choose_task(const TaskAdapters& adapters, const Warning& warn) {
  const bool is_chosen = config_.has(kDefaultTask);
  const std::vector<std::string> tasks = task_names(config_);
  if (adapters.empty()) {
    if (is_chosen && !tasks.empty())
      throw Error(
          ErrorCode::format,
          fmt::format("{}: the task {} was chosen, but the weights have no changes for tasks; give the "
                      "original's weights",
                      config_.where(), printable(config_.get<std::string>(kDefaultTask))));
    return;
  }
  if (is_chosen)
    adapters_.push_back(adapters.chosen(config_, files_.front().path));
  else if (warn)
    warn(fmt::format(
        "{}: has changes of its weights for tasks, and none is applied; choose one (--task, in evaluate "
        "--model-task): {}",
        folder_.string(), listed_tasks(tasks)));
}

void Checkpoint::read_adapters(const Warning& warn) {
  const fs::path base_transformer = base_folder(folder_) / transformer_folder_.lexically_relative(folder_);
  for (const fs::path& folder : adapter_folders(folder_)) {
    const Adapter& adapter = adapters_.emplace_back(Adapter::read(folder, warn));
    for (const fs::path& file : Adapter::files(folder))
      files_.push_back({file, fs::file_size(file), FileStamp::of(file)});
    const std::string& base = adapter.config.base_model;
    if (warn && !base.empty() && !may_be_base(base_transformer, config_, base))
      warn(
          fmt::format("{}: the adapter was trained on {}, a name that this model's folder does not have; its "
                      "results mean nothing with another model",
                      adapter.config.where, printable(base)));
    read_task(adapter, warn);
  }
}

// A head that only the adapter has makes the model one with that head, as transformers' class for the task does.
void Checkpoint::read_task(const Adapter& adapter, const Warning& warn) {
  const auto task =
      std::ranges::find(kTaskClasses, adapter.config.task_type, [](const auto& t) { return t.first; });
  if (task == std::end(kTaskClasses)) return;
  nlohmann::json config = config_.json();
  bool changed = false;
  for (const auto& [name, tensor] : adapter.replaced) {
    if (!is_saved_module(adapter.config, name) || find(name) != nullptr) continue;
    nlohmann::json& classes = config["architectures"];
    if (classes.is_array() && !classes.empty() && classes[0].is_string())
      classes = {class_for(classes[0].get<std::string>(), task->second)};
    changed = true;
    const bool is_stated = config_.has("id2label") || config_.has("num_labels");
    const bool has_labels = std::ranges::find(kLabelMatrices, name) != std::end(kLabelMatrices) &&
                            task->second != kTaskClasses[2].second && tensor->shape.size() == 2;
    if (!has_labels || (is_stated && static_cast<int64_t>(config_.labels().size()) == tensor->shape[0]))
      continue;
    for (const char* key : {"label2id", "num_labels"}) config.erase(key);
    nlohmann::json& labels = config["id2label"] = nlohmann::json::object();
    if (tensor->shape[0] > kMostLabelsOfAdapter)
      throw Error(ErrorCode::format, fmt::format("{}: {} is {}, too many labels", adapter.path.string(),
                                                 printable(name), to_string(tensor->shape)));
    for (int64_t i = 0; i < tensor->shape[0]; ++i) labels[std::to_string(i)] = fmt::format("LABEL_{}", i);
  }
  if (!changed) return;
  config_ = Config(config, config_.where());
  if (warn)
    warn(fmt::format(
        "{}: brings a head of its own for {}, whose labels an adapter does not name: LABEL_0, ...",
        adapter.config.where, printable(adapter.config.task_type)));
}

// As canonicalize() would name the adapter's tensor in the checkpoint.
std::string Checkpoint::name_in_model(std::string_view of_adapter) const {
  std::string name(of_adapter);
  if (name.starts_with(foreign_prefix_)) name.erase(0, foreign_prefix_.size());
  if (!base_prefix_.empty() && name.starts_with(base_prefix_ + ".")) name.erase(0, base_prefix_.size() + 1);
  if (has(name)) return name;
  for (const std::string_view other : alias_.others)
    if (!other.empty() && name.starts_with(std::string(other) + "."))
      return std::string(alias_.module) + name.substr(other.size());
  return name;
}

CheckpointTensor& Checkpoint::mergeable(const Adapter& adapter, const std::string& module,
                                        const char* ending) {
  const auto found = index_.find(name_in_model(module + ending));
  if (found == index_.end())
    throw Error(
        ErrorCode::format,
        fmt::format("{}: changes {}, which the model {} does not have; give the model it was trained on{}",
                    adapter.path.string(), printable(module + ending), folder_.string(),
                    adapter.config.base_model.empty() ? "" : ", " + printable(adapter.config.base_model)));
  CheckpointTensor& tensor = tensors_[found->second];
  if (!is_float(tensor.view.dtype) || has(std::string(module_of(tensor.name)) + ".scales"))
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{}: {} is stored quantized, and an adapter changes floats; give the original model "
                    "with --adapter, and quantize that",
                    folder_.string(), printable(tensor.original)));
  return tensor;
}

void Checkpoint::keep_merged(CheckpointTensor& tensor, std::vector<float> values) {
  merged_.push_back(std::move(values));
  tensor.view.dtype = Dtype::f32;
  tensor.view.data = std::as_bytes(std::span(merged_.back()));
  tensor.view.mapped = false;
}

void Checkpoint::replace(const Adapter& adapter, const std::string& of_adapter, const TensorView& by) {
  const auto own_file = std::ranges::find(files_, adapter.path, &CheckpointFile::path) - files_.begin();
  TensorView view = by;
  view.name = of_adapter;
  if (!has(name_in_model(of_adapter)) && is_saved_module(adapter.config, of_adapter)) {
    tensors_.push_back({.name = {},
                        .original = of_adapter,
                        .view = view,
                        .file = static_cast<size_t>(own_file),
                        .owner = {}});
    return;
  }
  CheckpointTensor& tensor = mergeable(adapter, of_adapter, "");
  if (tensor.view.shape != by.shape)
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{}: {} is {}, the model's {}; a model whose tables or labels were resized has to be "
                    "merged with PEFT (merge_and_unload) first",
                    adapter.path.string(), printable(by.name), to_string(by.shape),
                    to_string(tensor.view.shape)));
  view.name = tensor.view.name;
  tensor.view = view;
}

void Checkpoint::merge_adapters() {
  if (std::exchange(has_merged_, true) || adapters_.empty()) return;
  for (const Adapter& adapter : adapters_) {
    // First, because PEFT saves a table that is changed, too, as it was before the change.
    for (const auto& [name, tensor] : adapter.replaced) replace(adapter, name, *tensor);
    canonicalize(std::string(base_prefix_), alias_);
    for (const auto& [module, change] : adapter.changes) {
      CheckpointTensor& weight = mergeable(adapter, module, ".weight");
      keep_merged(weight, merge_change(adapter, module, change, weight.view.shape, to_floats(weight.view)));
      if (change.bias == nullptr) continue;
      CheckpointTensor& bias = mergeable(adapter, module, ".bias");
      keep_merged(bias, merge_bias(adapter, module, change, bias.view.shape, to_floats(bias.view)));
    }
  }
}

}  // namespace mlxe
