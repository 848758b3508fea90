// The answers of one model to the items of a task.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "metrics/ranking.h"
#include "mlx_encoder/evaluate.h"

namespace mlxe {

struct Answers {
  EvaluatedModel model;
  std::vector<double> similarities;      // similarity: of each text
  std::vector<std::string> label_names;  // classification, nli, ner
  std::vector<int64_t> labels;           // the same: of each text, an index into label_names
  std::vector<std::string> tags;         // ner: of each word
  std::vector<RankedQuery> rankings;     // rerank, retrieval: of each query
};

// `side` names the model in progress. Errors: those of Encoder::load, unsupported (not a model for this
// task).
Answers run_task(const std::filesystem::path& folder, const std::string& side, Task task,
                 const TaskData& data, const EvaluateOptions& options);

// evaluate() for several models with one original, which runs only for the first of them. Original, data and options
// must be the same in each call.
Evaluation evaluate_beside(const std::filesystem::path& model, const std::filesystem::path& original,
                           std::optional<Answers>& original_answers, Task task, const TaskData& data,
                           const EvaluateOptions& options);

}  // namespace mlxe
