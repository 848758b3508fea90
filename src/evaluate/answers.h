// One model over the items of a task: what it says, ready to be scored.
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

// evaluate(), for several models beside one original: that runs for the first of them only. The answers are
// of the same original, data and options each time.
Evaluation evaluate_beside(const std::filesystem::path& model, const std::filesystem::path& original,
                           std::optional<Answers>& original_answers, Task task, const TaskData& data,
                           const EvaluateOptions& options);

}  // namespace mlxe
