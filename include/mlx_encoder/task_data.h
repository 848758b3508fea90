// The tasks a model can be evaluated on, and the items of one with their gold answers, read from a file.
// docs/evaluate.md says what each task reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mlx_encoder/types.h"

namespace mlxe {

enum class Task { similarity, classification, nli, ner, rerank, retrieval };
Task parse_task(std::string_view spelling);  // "similarity", ...; throws usage
const char* name(Task task) noexcept;

struct JudgedDocument {
  size_t document = 0;   // index into TaskData::documents
  double relevance = 0;  // relevant if at least 1
};

struct TaskQuery {
  std::string text;
  std::vector<JudgedDocument> documents;  // rerank: candidates; retrieval: judged (all others: relevance 0)
};

struct TaskData {
  std::string source;               // the file's name in messages
  std::vector<TextInput> texts;     // similarity, nli: pairs; classification; ner: words
  std::vector<size_t> lines;        // of the texts in the file, from 1
  std::string unit = "line";        // what `lines` counts: "line", or "row" of a Parquet file
  std::vector<double> scores;       // similarity: gold, one a text
  std::vector<std::string> labels;  // gold, one a text: a label's name or its number; ner: tags
  std::vector<size_t> sentences;    // ner: index of the first word of each sentence
  std::vector<TaskQuery> queries;   // rerank, retrieval
  std::vector<std::string> documents;
};

struct TaskDataOptions {
  std::string format;  // "tsv", "jsonl", "parquet" or (ner) "conll"; empty: by the file's ending
  std::map<std::string, std::string> columns;  // role ("text", "pair", "label", ...) -> name in the file
  std::filesystem::path qrels;                 // retrieval; empty: qrels/test.tsv, qrels.tsv
  int64_t limit = 0;                           // items (queries) to use; 0: all
};

// Reads a .tsv, .jsonl or .parquet file, for ner CoNLL lines or the latter two, for retrieval a folder in the layout of BEIR.
// Errors: not_found, io, usage (a column is missing, no items), format (a malformed row, named by line or row).
TaskData read_task_data(Task task, const std::filesystem::path& file, const TaskDataOptions& options = {});

}  // namespace mlxe
