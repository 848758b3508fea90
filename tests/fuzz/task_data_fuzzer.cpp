// Task data: for any files, the indices in a task's items are within bounds, or there is one Error. The
// input is a byte that selects task and format, then the file (for retrieval: queries, documents and
// judgements, separated by zero bytes).
#include <cmath>

#include "fuzz_input.h"
#include "mlx_encoder/evaluate.h"

namespace fs = std::filesystem;
using mlxe::Task;
using mlxe::fuzz::require;

namespace {

constexpr Task kTasks[] = {Task::similarity, Task::classification, Task::nli,
                           Task::ner,        Task::rerank,         Task::retrieval};
constexpr const char* kFormats[] = {"tsv", "jsonl", "conll"};
constexpr const char* kRetrieval[] = {"queries.jsonl", "corpus.jsonl", "qrels.tsv"};

void check(const mlxe::TaskData& data, Task task) {
  require(!data.texts.empty() || !data.queries.empty());
  if (task == Task::similarity) require(data.scores.size() == data.texts.size());
  for (const double score : data.scores) require(std::isfinite(score));
  if (task == Task::classification || task == Task::nli || task == Task::ner)
    require(data.labels.size() == data.texts.size());
  for (const size_t first : data.sentences) require(first < data.texts.size());
  for (const mlxe::TaskQuery& query : data.queries)
    for (const mlxe::JudgedDocument& judged : query.documents)
      require(judged.document < data.documents.size() && std::isfinite(judged.relevance));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const mlxe::fuzz::Folder folder;
  if (size == 0) return 0;
  const Task task = kTasks[data[0] % std::size(kTasks)];
  const char* format = kFormats[data[0] / std::size(kTasks) % std::size(kFormats)];
  fs::path source = folder.path / "items";
  if (task == Task::retrieval) {
    source = folder.path;
    const auto parts = mlxe::fuzz::parts(data + 1, size - 1, std::size(kRetrieval));
    for (size_t i = 0; i < std::size(kRetrieval); ++i) mlxe::fuzz::put(source / kRetrieval[i], parts[i]);
  } else {
    mlxe::fuzz::put(source, {reinterpret_cast<const char*>(data) + 1, size - 1});
  }
  mlxe::fuzz::expect_result_or_error([&] {
    check(mlxe::read_task_data(task, source, {.format = task == Task::retrieval ? "" : format}), task);
  });
  return 0;
}
