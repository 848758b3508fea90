#include "sweep/model_items.h"

#include "texts/text_file.h"

namespace mlxe {
namespace {

// Words of a sentence with spaces between, as they are run for their tags.
std::vector<TextInput> sentences(const TaskData& data) {
  std::vector<TextInput> texts;
  for (size_t i = 0; i < data.sentences.size(); ++i) {
    const size_t end = i + 1 < data.sentences.size() ? data.sentences[i + 1] : data.texts.size();
    std::string text;
    for (size_t word = data.sentences[i]; word < end; ++word)
      text += (text.empty() ? "" : " ") + data.texts[word].text;
    texts.push_back({std::move(text), std::nullopt});
  }
  return texts;
}

CompareInput items_of(Task task, const TaskData& data) {
  switch (task) {
    case Task::similarity:
      return {.texts = data.texts, .labels = {}, .scores = data.scores};
    case Task::classification:
    case Task::nli:
      return {.texts = data.texts, .labels = data.labels, .scores = {}};
    case Task::ner:
      return {.texts = sentences(data), .labels = {}, .scores = {}};
    case Task::rerank:
    case Task::retrieval:
      break;
  }
  CompareInput input;
  for (const TaskQuery& query : data.queries) input.texts.push_back({query.text, std::nullopt});
  for (const std::string& document : data.documents) input.texts.push_back({document, std::nullopt});
  return input;
}

}  // namespace

ModelItems read_items(const SweepModel& model) {
  ModelItems items;
  if (model.task) {
    TaskDataOptions reading = model.reading;
    reading.limit = model.limit;
    items.task = read_task_data(*model.task, model.data, reading);
  }
  if (model.texts.empty()) {
    items.compared = items_of(*model.task, *items.task);
    return items;
  }
  items.compared.texts = read_texts(model.texts, collected_in(items.warnings));
  if (model.limit > 0 && items.compared.texts.size() > static_cast<size_t>(model.limit))
    items.compared.texts.resize(static_cast<size_t>(model.limit));
  return items;
}

}  // namespace mlxe
