// Reads the items of each task from a file; docs/evaluate.md describes the columns.
#include "mlx_encoder/task_data.h"

#include <fmt/format.h>

#include <functional>
#include <set>
#include <unordered_map>

#include "base/file_errors.h"
#include "base/text.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "texts/conll_file.h"
#include "texts/row_file.h"
#include "texts/task_columns.h"

namespace mlxe {
namespace {

namespace fs = std::filesystem;

// Reads the columns of the roles alone, where a format has columns apart.
void read_role_rows(const fs::path& file, const TaskDataOptions& options, const TaskColumns& columns,
                    TaskData& data, const std::function<bool(const Row&)>& take) {
  const auto needed = [&](std::vector<std::string> all) { return columns.needed(std::move(all)); };
  const auto take_row = [&](const Row& row) {
    data.unit = row.unit;
    return take(row);
  };
  read_rows(file, options.format, take_row, IfEmpty::refuse, needed);
}

TaskData read_texts(Task task, const fs::path& file, const TaskDataOptions& options) {
  TaskData data{.source = file.string()};
  TaskColumns columns(task, file, options);
  const bool paired = task != Task::classification || options.columns.contains("pair");
  read_role_rows(file, options, columns, data, [&](const Row& row) {
    TextInput item{columns.text(row, "text"), std::nullopt};
    if (paired || columns.has(row, "pair")) item.pair = columns.text(row, "pair");
    data.texts.push_back(std::move(item));
    data.lines.push_back(row.line);
    if (task == Task::similarity)
      data.scores.push_back(columns.number(row, "score"));
    else
      data.labels.push_back(columns.text(row, "label"));
    return options.limit == 0 || static_cast<int64_t>(data.texts.size()) < options.limit;
  });
  return data;
}

void add_word(TaskData& data, const fs::path& file, size_t line, std::string word, std::string tag) {
  if (word.empty() || tag.empty()) malformed(file, line, "expected a word and its tag, found an empty one");
  data.texts.push_back({std::move(word), std::nullopt});
  data.labels.push_back(std::move(tag));
  data.lines.push_back(line);
}

TaskData read_conll(const fs::path& file, const TaskDataOptions& options) {
  TaskData data{.source = file.string()};
  mlxe::read_conll(file, [&](ConllSentence sentence) {
    data.sentences.push_back(data.texts.size());
    for (size_t i = 0; i < sentence.words.size(); ++i)
      add_word(data, file, sentence.lines[i], std::move(sentence.words[i]), std::move(sentence.tags[i]));
    return options.limit == 0 || static_cast<int64_t>(data.sentences.size()) < options.limit;
  });
  return data;
}

TaskData read_tagged(const fs::path& file, const TaskDataOptions& options) {
  const std::string format = file_format(file, options.format);
  if (!options.format.empty() && format != "conll" && format != "jsonl" && format != "parquet")
    throw Error(ErrorCode::usage,
                fmt::format("--input-format {}: ner reads conll, jsonl or parquet", options.format));
  if (format != "jsonl" && format != "parquet") return read_conll(file, options);
  TaskData data{.source = file.string()};
  TaskColumns columns(Task::ner, file, options);
  read_role_rows(file, options, columns, data, [&](const Row& row) {
    std::vector<std::string> words = columns.texts(row, "tokens"), tags = columns.texts(row, "tags");
    if (words.size() != tags.size())
      malformed(file, row, fmt::format("{} words, but {} tags", words.size(), tags.size()));
    if (!words.empty()) data.sentences.push_back(data.texts.size());
    for (size_t i = 0; i < words.size(); ++i)
      add_word(data, file, row.line, std::move(words[i]), std::move(tags[i]));
    return options.limit == 0 || static_cast<int64_t>(data.sentences.size()) < options.limit;
  });
  return data;
}

// Queries and documents by their text, each kept once.
class Judgements {
 public:
  explicit Judgements(TaskData& data) : data_(data) {}

  bool knows(const std::string& query) const { return queries_.contains(query); }

  void add(const std::string& query, std::string document, double relevance) {
    const auto [q, new_query] = queries_.try_emplace(query, data_.queries.size());
    if (new_query) data_.queries.push_back({query, {}});
    const auto [d, new_document] = documents_.try_emplace(document, data_.documents.size());
    if (new_document) data_.documents.push_back(std::move(document));
    data_.queries[q->second].documents.push_back({d->second, relevance});
  }

 private:
  TaskData& data_;
  std::unordered_map<std::string, size_t> queries_, documents_;
};

// Either a query, its positives and its negatives a row, or a query, one passage and its relevance.
TaskData read_candidates(const fs::path& file, const TaskDataOptions& options) {
  TaskData data{.source = file.string()};
  TaskColumns columns(Task::rerank, file, options);
  Judgements judgements(data);
  std::optional<bool> in_lists;
  read_role_rows(file, options, columns, data, [&](const Row& row) {
    if (!in_lists) in_lists = columns.has(row, "positive") || options.columns.contains("positive");
    const std::string query = columns.text(row, "query");
    if (options.limit > 0 && static_cast<int64_t>(data.queries.size()) == options.limit &&
        !judgements.knows(query))
      return false;
    if (!*in_lists) {
      judgements.add(query, columns.text(row, "passage"), columns.number(row, "relevance"));
      return true;
    }
    const auto positives = columns.texts(row, "positive"), negatives = columns.texts(row, "negative");
    if (positives.empty() || negatives.empty())
      malformed(file, row, "expected at least one positive and one negative, or there is nothing to rank");
    for (const std::string& t : positives) judgements.add(query, t, 1);
    for (const std::string& t : negatives) judgements.add(query, t, 0);
    return true;
  });
  return data;
}

std::string string_of(const fs::path& file, const Row& row, const char* key) {
  const auto cell = row.cells.find(key);
  if (cell != row.cells.end() && cell->is_string()) return cell->get<std::string>();
  if (cell != row.cells.end() && cell->is_number_integer()) return cell->dump();
  malformed(file, row, fmt::format("no \"{}\" that is a string", key));
}

using Ids = std::unordered_map<std::string, size_t>;

void add_id(Ids& ids, const fs::path& file, const Row& row, size_t index) {
  const std::string id = string_of(file, row, "_id");
  if (!ids.try_emplace(id, index).second)
    malformed(file, row, fmt::format("the _id {} stands here a second time", printable(id)));
}

fs::path qrels_file(const fs::path& folder, const TaskDataOptions& options) {
  if (!options.qrels.empty()) return options.qrels;
  for (const char* usual : {"qrels/test.tsv", "qrels.tsv"})
    if (fs::exists(folder / usual)) return folder / usual;
  throw Error(ErrorCode::not_found,
              fmt::format("{}: holds neither qrels/test.tsv nor qrels.tsv; name the file with --qrels",
                          folder.string()));
}

// corpus.jsonl, queries.jsonl and qrels/test.tsv, as BEIR lays them out.
TaskData read_retrieval(const fs::path& folder, const TaskDataOptions& options) {
  if (!fs::is_directory(folder))
    throw Error(
        fs::exists(folder) ? ErrorCode::usage : ErrorCode::not_found,
        fmt::format("{}: not a folder; retrieval reads corpus.jsonl, queries.jsonl and qrels/test.tsv of one",
                    folder.string()));
  if (!options.columns.empty())
    TaskColumns(Task::retrieval, folder, options);  // throws if columns are named: retrieval has none
  TaskData data{.source = folder.string()};
  Ids documents, queries;
  const fs::path corpus = folder / "corpus.jsonl", asked = folder / "queries.jsonl",
                 qrels = qrels_file(folder, options);
  read_rows(corpus, "jsonl", [&](const Row& row) {
    add_id(documents, corpus, row, data.documents.size());
    const std::string title = row.cells.contains("title") ? string_of(corpus, row, "title") : "";
    data.documents.push_back((title.empty() ? "" : title + " ") + string_of(corpus, row, "text"));
    return true;
  });
  std::vector<TaskQuery> all;
  read_rows(asked, "jsonl", [&](const Row& row) {
    add_id(queries, asked, row, all.size());
    all.push_back({string_of(asked, row, "text"), {}});
    return true;
  });
  std::set<std::pair<size_t, size_t>> judged;
  read_rows(qrels, "tsv", [&](const Row& row) {
    const auto find = [&](const Ids& ids, const char* column, const fs::path& where) {
      const std::string id = string_of(qrels, row, column);
      const auto found = ids.find(id);
      if (found == ids.end())
        malformed(qrels, row, fmt::format("the {} {} is not in {}", column, printable(id), where.string()));
      return found->second;
    };
    const size_t query = find(queries, "query-id", asked), document = find(documents, "corpus-id", corpus);
    if (!judged.emplace(query, document).second)
      malformed(qrels, row, "this query and document stand here a second time");
    const std::string written = string_of(qrels, row, "score");
    const std::optional<double> relevance = finite_number(written);
    if (!relevance)
      malformed(qrels, row, fmt::format("\"score\" is {}, expected a finite number", printable(written)));
    all[query].documents.push_back({document, *relevance});
    return true;
  });
  for (TaskQuery& q : all)
    if (!q.documents.empty() &&
        (options.limit == 0 || static_cast<int64_t>(data.queries.size()) < options.limit))
      data.queries.push_back(std::move(q));
  return data;
}

}  // namespace

TaskData read_task_data(Task task, const fs::path& file, const TaskDataOptions& options) {
  return with_file_errors([&] {
    switch (task) {
      case Task::ner:
        return read_tagged(file, options);
      case Task::rerank:
        return read_candidates(file, options);
      case Task::retrieval:
        return read_retrieval(file, options);
      default:
        return read_texts(task, file, options);
    }
  });
}

}  // namespace mlxe
