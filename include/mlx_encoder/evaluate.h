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
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mlx_encoder/encoder.h"
#include "mlx_encoder/types.h"

namespace mlxe {

enum class Task { similarity, classification, nli, ner, rerank, retrieval };
Task parse_task(std::string_view spelling);  // "similarity", ...; throws usage
const char* name(Task task) noexcept;

// How tags of words ("B-person", "I-person", "O") make spans; seqeval's rules.
enum class Tagging {
  lenient,  // seqeval's default: any scheme below, mixed or broken ones too (an I without a B begins a span)
  iob1,     // iob1, iob2, bioes: seqeval's mode="strict"; tags the scheme does not allow begin or end no span
  iob2,
  bioes,
};
Tagging parse_tagging(std::string_view spelling);  // "lenient", "IOB1", "IOB2", "BIOES"; throws usage

struct JudgedDocument {
  size_t document = 0;   // index into TaskData::documents
  double relevance = 0;  // relevant if at least 1
};

struct TaskQuery {
  std::string text;
  std::vector<JudgedDocument> documents;  // rerank: the candidates; retrieval: the judged ones, others are 0
};

struct TaskData {
  std::string source;               // the file's name in messages
  std::vector<TextInput> texts;     // similarity, nli: pairs; classification; ner: words
  std::vector<size_t> lines;        // of the texts in the file, from 1
  std::vector<double> scores;       // similarity: gold, one a text
  std::vector<std::string> labels;  // gold, one a text: a label's name or its number; ner: tags
  std::vector<size_t> sentences;    // ner: index of the first word of each sentence
  std::vector<TaskQuery> queries;   // rerank, retrieval
  std::vector<std::string> documents;
};

struct TaskDataOptions {
  std::string format;                          // "tsv", "jsonl" or (ner) "conll"; empty: by the file's ending
  std::map<std::string, std::string> columns;  // role ("text", "pair", "label", ...) -> name in the file
  std::filesystem::path qrels;                 // retrieval; empty: qrels/test.tsv, qrels.tsv
  int64_t limit = 0;                           // items (queries) to use; 0: all
};

// Reads a .tsv or .jsonl file, for ner CoNLL lines or .jsonl, for retrieval a folder as BEIR lays it out.
// Errors: not_found, io, usage (a column is missing, no items), format (a malformed row, named by line).
TaskData read_task_data(Task task, const std::filesystem::path& file, const TaskDataOptions& options = {});

struct BootstrapOptions {
  int64_t resamples = 10000;
  double confidence = 0.95;
  uint64_t seed = 1;
};

struct Interval {
  double low = 0, high = 0;
};

// McNemar's test: whether two classifiers are right equally often on the same items. Counts the items that
// only one side has right.
struct McNemar {
  int64_t only_original = 0, only_evaluated = 0;
  double p = 1;
  bool exact = true;  // binomial; false: chi-square with continuity correction (from 25 such items on)
};

struct EvaluateOptions {
  EngineKind engine = EngineKind::automatic;
  Activations activations = Activations::float32;  // of both sides; float32 judges the weights alone
  int threads = 0;                                 // of the cpu engine; 0: all cores
  int64_t max_length = 0;                          // tokens; 0: what the model allows
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
  double value = 0;                    // NaN if it does not exist (a correlation with a constant)
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
