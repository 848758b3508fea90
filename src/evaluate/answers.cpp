#include "evaluate/answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>

#include "base/thread_pool.h"
#include "format/linked_folders.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr const char* kRegression = "regression";
constexpr const char* kSingleLabel = "single_label_classification";

// In float64: float32 would make ties of documents that are not alike. Eight sums, so that it vectorises.
double dot(std::span<const float> a, std::span<const float> b) {
  std::array<double, 8> sums{};
  size_t i = 0;
  for (; i + 8 <= a.size(); i += 8)
    for (size_t j = 0; j < 8; ++j) sums[j] += static_cast<double>(a[i + j]) * b[i + j];
  for (; i < a.size(); ++i) sums[0] += static_cast<double>(a[i]) * b[i];
  double sum = 0;
  for (double s : sums) sum += s;
  return sum;
}

std::vector<double> lengths(const Vectors& v) {
  std::vector<double> all;
  for (int64_t i = 0; i < v.rows; ++i) all.push_back(std::sqrt(dot(v.row(i), v.row(i))));
  return all;
}

double cosine_of(double dot, double lengths) {
  return lengths == 0 ? 0 : dot / lengths;
}

class TaskRun {
 public:
  TaskRun(const std::filesystem::path& folder, const std::string& side, Task task, const TaskData& data,
          const EvaluateOptions& options)
      : folder_(with_shown_paths(folder.string())),
        side_(side),
        task_(task),
        data_(data),
        options_(options),
        encoder_(Encoder::load(folder, {.engine = options.engine,
                                        .activations = options.activations,
                                        .threads = options.threads,
                                        .max_length = options.max_length,
                                        .allow_unknown = options.allow_unknown,
                                        .warning = warning()})) {}

  Answers answers() {
    const ModelInfo& info = encoder_.info();
    Answers a{.model = {.folder = folder_,
                        .model_type = info.model_type,
                        .engine = info.engine,
                        .variant = info.engine_variant,
                        .activations = name(info.activations)}};
    switch (task_) {
      case Task::similarity:
        a.similarities = scores_text_pairs() ? pair_scores("texts", data_.texts) : cosines();
        break;
      case Task::classification:
      case Task::nli:
        classify(a);
        break;
      case Task::ner:
        tag(a);
        break;
      case Task::rerank:
        a.rankings = scores_text_pairs() ? ranked_by_pairs() : ranked_by_vectors();
        break;
      case Task::retrieval:
        if (info.answers || info.chooses || !info.labels.empty())
          not_for_this_task(
              "a sentence-embedding model: it would have to read every query with every document");
        a.rankings = ranked_by_vectors();
        break;
    }
    return a;
  }

 private:
  // Messages number the texts of one list, so they begin with the name of the list.
  Warning warning() {
    return [this](std::string_view sentence) {
      if (options_.warning)
        options_.warning(list_.empty() ? std::string(sentence) : list_ + ": " + std::string(sentence));
    };
  }
  Progress progress() const {
    return [this](std::string_view, uint64_t done, uint64_t total) {
      if (options_.progress) options_.progress(side_ + ", " + list_, done, total);
    };
  }

  [[noreturn]] void not_for_this_task(const std::string& expected) const {
    const ModelInfo& info = encoder_.info();
    const char* other = info.answers ? "question answering head" : info.chooses ? "multiple choice head" : "";
    throw Error(ErrorCode::unsupported,
                *other != '\0' ? fmt::format("{}: a {}, which no task evaluates; {} needs {}", folder_, other,
                                             mlxe::name(task_), expected)
                               : fmt::format("{}: a {} with {} output{}; {} needs {}", folder_,
                                             info.labels.empty() ? "model without a classifier"
                                                                 : info.problem_type + " head",
                                             info.labels.size(), info.labels.size() == 1 ? "" : "s",
                                             mlxe::name(task_), expected));
  }

  // A cross-encoder gives a pair one number; without a classification head a model gives vectors.
  bool scores_text_pairs() const {
    const ModelInfo& info = encoder_.info();
    if (info.answers || info.chooses || info.labels.size() > 1)
      not_for_this_task("a sentence-embedding model, or a cross-encoder with one output");
    return !info.labels.empty();
  }

  // Calls f(), which runs the texts of `list`. Adds the name of the list to its warnings and errors.
  template <class F>
  auto over(const char* list, F&& f) {
    list_ = list;
    try {
      auto result = f();
      list_.clear();
      return result;
    } catch (const Error& e) {
      const std::string said = e.what();
      throw Error(e.code(), said.starts_with("text ") ? list_ + ": " + said : said);
    }
  }

  // `task`: the route of a model that has several.
  Vectors embed(const char* list, std::span<const std::string> texts, const std::string& prompt,
                EmbedTask task = EmbedTask::any) {
    const EmbedTask route = encoder_.info().routes.empty() ? EmbedTask::any : task;
    return over(list, [&] {
      return encoder_.embed(texts, {.prompt_name = prompt, .task = route, .progress = progress()});
    });
  }

  std::vector<Prediction> predict(const char* list, std::span<const TextInput> texts) {
    return over(list, [&] { return encoder_.classify(texts, {.progress = progress()}); });
  }

  // As CrossEncoder.predict() gives them, activation function included: a correlation is of these.
  std::vector<double> pair_scores(const char* list, std::span<const TextInput> pairs) {
    std::vector<double> scores;
    for (const Prediction& p : predict(list, pairs)) scores.push_back(p.scores[0]);
    return scores;
  }

  std::vector<double> cosines() {
    std::vector<std::string> left, right;
    for (const TextInput& t : data_.texts) {
      left.push_back(t.text);
      right.push_back(*t.pair);
    }
    const Vectors a = embed("first texts", left, ""), b = embed("second texts", right, "");
    const std::vector<double> length_a = lengths(a), length_b = lengths(b);
    std::vector<double> all;
    for (size_t i = 0; i < left.size(); ++i) {
      const auto row = static_cast<int64_t>(i);
      all.push_back(cosine_of(dot(a.row(row), b.row(row)), length_a[i] * length_b[i]));
    }
    return all;
  }

  void classify(Answers& a) {
    const ModelInfo& info = encoder_.info();
    if (info.problem_type != kSingleLabel || info.labels.size() < 2)
      not_for_this_task("a classifier that picks one of two or more labels");
    a.label_names = info.labels;
    for (const Prediction& p : predict(task_ == Task::nli ? "pairs" : "texts", data_.texts))
      a.labels.push_back(p.best);
  }

  // A word has the tag of its first token.
  void tag(Answers& a) {
    a.label_names = encoder_.info().token_labels;
    const size_t words = data_.texts.size();
    std::vector<std::vector<std::string>> sentences(data_.sentences.size());
    for (size_t s = 0; s < sentences.size(); ++s)
      for (size_t w = data_.sentences[s]; w < end_of(s); ++w) sentences[s].push_back(data_.texts[w].text);
    const auto scored =
        over("sentences", [&] { return encoder_.score_words(sentences, {.progress = progress()}); });
    size_t lost = 0;
    for (const std::vector<TokenScores>& sentence : scored)
      for (const TokenScores& word : sentence) {
        const auto best = std::ranges::max_element(word.scores) - word.scores.begin();
        lost += word.scores.empty();
        a.tags.push_back(word.scores.empty() ? "O" : a.label_names[static_cast<size_t>(best)]);
      }
    if (lost > 0 && options_.warning)
      options_.warning(
          fmt::format("{} of {} words have no token (cut off, or nothing the tokenizer knows) and count as O",
                      lost, words));
  }

  size_t end_of(size_t sentence) const {
    return sentence + 1 < data_.sentences.size() ? data_.sentences[sentence + 1] : data_.texts.size();
  }

  // The prompt asked for by name, or one of the usual names that the model has, or (empty) its default.
  std::string prompt(const std::string& named, std::initializer_list<const char*> usual) const {
    if (!named.empty()) return named;
    for (const char* name : usual)
      if (encoder_.info().prompts.contains(name)) return name;
    return "";
  }

  std::vector<RankedQuery> ranked_by_vectors() {
    std::vector<std::string> texts;
    for (const TaskQuery& q : data_.queries) texts.push_back(q.text);
    const Vectors queries =
        embed("queries", texts, prompt(options_.query_prompt, {"query"}), EmbedTask::query);
    const Vectors documents =
        embed("documents", data_.documents, prompt(options_.document_prompt, {"document", "passage"}),
              EmbedTask::document);
    const std::vector<double> length = lengths(documents);
    std::vector<RankedQuery> all(data_.queries.size());
    ThreadPool pool(options_.threads);
    pool.parallel_for(static_cast<int64_t>(all.size()), [&](int64_t i, int) {
      const auto query = queries.row(i);
      const double query_length = std::sqrt(dot(query, query));
      const auto score = [&](size_t document) {
        return cosine_of(dot(query, documents.row(static_cast<int64_t>(document))),
                         query_length * length[document]);
      };
      const auto& judged = data_.queries[static_cast<size_t>(i)].documents;
      std::vector<double> scores, relevances;
      if (task_ == Task::rerank) {
        for (const JudgedDocument& d : judged) {
          scores.push_back(score(d.document));
          relevances.push_back(d.relevance);
        }
      } else {
        relevances.resize(data_.documents.size());
        for (size_t d = 0; d < data_.documents.size(); ++d) scores.push_back(score(d));
        for (const JudgedDocument& d : judged) relevances[d.document] = d.relevance;
      }
      all[static_cast<size_t>(i)] = rank_relevant(scores, relevances);
    });
    return all;
  }

  std::vector<RankedQuery> ranked_by_pairs() {
    if (!options_.query_prompt.empty() || !options_.document_prompt.empty())
      throw Error(
          ErrorCode::usage,
          fmt::format("{}: a cross-encoder reads a query and a document as one pair, without prompts of "
                      "their own; leave out --query-prompt and --document-prompt",
                      folder_));
    std::vector<TextInput> pairs;
    for (const TaskQuery& q : data_.queries)
      for (const JudgedDocument& d : q.documents) pairs.push_back({q.text, data_.documents[d.document]});
    const std::vector<double> scores = pair_scores("pairs", pairs);
    std::vector<RankedQuery> all;
    size_t next = 0;
    for (const TaskQuery& q : data_.queries) {
      std::vector<double> relevances;
      for (const JudgedDocument& d : q.documents) relevances.push_back(d.relevance);
      all.push_back(rank_relevant(std::span(scores).subspan(next, relevances.size()), relevances));
      next += relevances.size();
    }
    return all;
  }

  std::string folder_, side_, list_;
  Task task_;
  const TaskData& data_;
  const EvaluateOptions& options_;
  Encoder encoder_;
};

}  // namespace

Answers run_task(const std::filesystem::path& folder, const std::string& side, Task task,
                 const TaskData& data, const EvaluateOptions& options) {
  return TaskRun(folder, side, task, data, options).answers();
}

}  // namespace mlxe
