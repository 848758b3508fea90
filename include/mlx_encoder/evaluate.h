// How well a model does a task, and whether its conversion does the task as well on the same items.
//
//   using namespace mlxe;
//   const TaskData data = read_task_data(Task::similarity, "stsb-test.tsv");
//   const Evaluation e = evaluate("minilm-4bit", "all-MiniLM-L6-v2", Task::similarity, data);
//   std::puts(to_json(e, data).c_str());
//
// docs/evaluate.md says what each task reads and reports. Metrics are those of scipy, scikit-learn, seqeval
// and ranx.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "mlx_encoder/encoder.h"
#include "mlx_encoder/scoring.h"
#include "mlx_encoder/task_data.h"
#include "mlx_encoder/types.h"

namespace mlxe {

struct EvaluateOptions {
  EngineKind engine = EngineKind::automatic;
  Activations activations = Activations::float32;  // of both sides; float32 judges the weights alone
  int threads = 0;                                 // of the cpu engine; 0: all cores
  int64_t max_length = 0;                          // tokens; 0: what the model allows
  bool allow_unknown = false;                      // EncoderOptions::allow_unknown, of both models
  // Names of prompts. Empty: "query", and "document" or "passage", if the model has them, else its default.
  std::string query_prompt, document_prompt;
  Tagging tagging = Tagging::lenient;  // ner
  BootstrapOptions bootstrap;
  Warning warning;
  Progress progress;
};

struct EvaluatedModel {
  std::string folder, model_type, engine, variant, activations;
};

struct TaskFigure {
  std::string metric;                  // "spearman", "accuracy", "ndcg@10", ...
  double value = 0;                    // NaN if undefined (a correlation with a constant)
  std::optional<double> original;      // if an original was evaluated
  std::optional<Interval> difference;  // of value - original: paired bootstrap
};

struct LabelFigure {
  std::string label;
  int64_t gold = 0;
  double precision = 0, recall = 0, f1 = 0;
  std::optional<double> original_f1;
};

// An item that the two sides label differently.
struct FlippedItem {
  size_t item = 0;  // index into TaskData::texts (ner: a word)
  std::string gold, original, evaluated;
};

struct Evaluation {
  Task task = Task::similarity;
  std::string source;
  int64_t items = 0;      // texts, sentences or queries
  int64_t documents = 0;  // rerank, retrieval
  int64_t words = 0;      // ner
  EvaluatedModel model;
  std::optional<EvaluatedModel> original;
  std::vector<TaskFigure> figures;
  BootstrapOptions bootstrap;
  std::vector<LabelFigure> labels;  // classification, nli; ner: types of spans
  std::optional<McNemar> mcnemar;   // classification, nli, ner, with an original
  std::vector<FlippedItem> flips;   // classification, nli, ner, with an original; in order
  std::vector<std::string> warnings;
};

// Runs `model`, and `original` unless it is empty, over the items.
// Errors: those of Encoder::load; unsupported (a model that can't do the task, folders of different models);
// format (a gold label that the model does not have).
Evaluation evaluate(const std::filesystem::path& model, const std::filesystem::path& original, Task task,
                    const TaskData& data, const EvaluateOptions& options = {});

std::string to_json(const Evaluation& evaluation, const TaskData& data);  // docs/json/evaluate.md

}  // namespace mlxe
