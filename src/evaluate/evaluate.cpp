#include "mlx_encoder/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

#include "base/wording.h"
#include "evaluate/answers.h"
#include "evaluate/class_scores.h"
#include "evaluate/correlation.h"
#include "evaluate/resampling.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr std::array kTasks{Task::similarity, Task::classification, Task::nli, Task::rerank, Task::retrieval};
constexpr size_t kListedLabels = 10;

std::string lowercase(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

// Metrics of one side, and their names.
struct Scoring {
  std::vector<std::string> names;
  Metrics metrics;
};

Scoring correlations(const TaskData& data, const Answers& a) {
  return {{"spearman", "pearson"}, [c = Correlation(data.scores, a.similarities)](Counts counts) {
            return std::vector{c.spearman(counts), c.pearson(counts)};
          }};
}

Scoring classes(const ClassComparison& comparison) {
  return {{"accuracy", "macro_f1", "weighted_f1", "matthews"}, [comparison](Counts counts) {
            const ClassScores s = comparison.scores(counts);
            return std::vector{s.accuracy, s.macro_f1, s.weighted_f1, s.matthews};
          }};
}

// Means over queries.
Scoring rankings(Task task, const Answers& a) {
  Scoring s{{"ndcg@10", "map", "mrr", "recall@1", "recall@10"}, {}};
  if (task == Task::retrieval) s.names.push_back("recall@100");
  std::vector<std::vector<double>> of_query;
  for (const RankedQuery& q : a.rankings) {
    of_query.push_back(
        {ndcg_at(q, 10), average_precision(q), reciprocal_rank(q), recall_at(q, 1), recall_at(q, 10)});
    if (task == Task::retrieval) of_query.back().push_back(recall_at(q, 100));
  }
  s.metrics = [of_query = std::move(of_query)](Counts counts) {
    std::vector<double> means(of_query.front().size());
    double n = 0;
    for (size_t i = 0; i < of_query.size(); ++i) {
      n += counts[i];
      for (size_t m = 0; m < means.size(); ++m) means[m] += counts[i] * of_query[i][m];
    }
    for (double& m : means) m /= n;
    return means;
  };
  return s;
}

// Gold labels as indices into the model's: by name, case ignored, or by number.
std::vector<int64_t> gold_indices(const TaskData& data, const std::vector<std::string>& names) {
  std::map<std::string, int64_t> known;
  for (size_t i = 0; i < names.size(); ++i) known.emplace(lowercase(names[i]), static_cast<int64_t>(i));
  for (size_t i = 0; i < names.size(); ++i) known.emplace(std::to_string(i), static_cast<int64_t>(i));
  std::vector<int64_t> gold;
  for (size_t i = 0; i < data.labels.size(); ++i) {
    const auto found = known.find(lowercase(data.labels[i]));
    if (found != known.end()) {
      gold.push_back(found->second);
      continue;
    }
    const std::set<std::string> all(data.labels.begin(), data.labels.end());
    const std::vector<std::string> there(all.begin(), all.end());
    const bool unnamed =
        std::ranges::all_of(names, [](const std::string& n) { return n.starts_with("LABEL_"); });
    throw Error(
        ErrorCode::format,
        fmt::format("{}: line {}: the label \"{}\" is none of the model's; the model has {}, the data {}; {}",
                    data.source, data.lines[i], data.labels[i], listed(names, kListedLabels),
                    listed(there, kListedLabels),
                    unnamed ? "config.json's id2label names none: give their numbers in the data"
                            : "give one of these names or its number"));
  }
  return gold;
}

// The original's predictions, numbered as the evaluated model numbers its labels.
void renumber(Answers& original, const Answers& evaluated) {
  std::vector<int64_t> number;
  for (const std::string& label : original.label_names) {
    const auto found = std::ranges::find_if(evaluated.label_names, [&](const std::string& other) {
      return lowercase(other) == lowercase(label);
    });
    if (found == evaluated.label_names.end() || original.label_names.size() != evaluated.label_names.size())
      throw Error(ErrorCode::unsupported,
                  fmt::format("{} has the labels {}, {} has {}; expected a model and a conversion of it",
                              original.model.folder, listed(original.label_names, kListedLabels),
                              evaluated.model.folder, listed(evaluated.label_names, kListedLabels)));
    number.push_back(found - evaluated.label_names.begin());
  }
  for (int64_t& label : original.labels) label = number[static_cast<size_t>(label)];
  original.label_names = evaluated.label_names;
}

bool judged(const TaskQuery& query) {
  return std::ranges::any_of(query.documents, [](const JudgedDocument& d) { return d.relevance >= 1; });
}

class Evaluating {
 public:
  Evaluating(Task task, const TaskData& data, const EvaluateOptions& options)
      : data_(data), options_(options) {
    out_.task = task;
    out_.source = data.source;
    out_.bootstrap = options.bootstrap;
    out_.documents = static_cast<int64_t>(data.documents.size());
    options_.warning = [this, say = options.warning](std::string_view sentence) {
      if (std::ranges::find(out_.warnings, sentence) != out_.warnings.end()) return;
      out_.warnings.emplace_back(sentence);
      if (say) say(sentence);
    };
    if (ranked()) leave_out_unjudged();
    out_.items = static_cast<int64_t>(ranked() ? data_.queries.size() : data_.texts.size());
    if (out_.items == 0)
      throw Error(ErrorCode::usage,
                  fmt::format("{}: no items to evaluate on; expected at least one", data.source));
  }

  Evaluation result(const std::filesystem::path& model, const std::filesystem::path& original) {
    Answers evaluated = run_task(model, "model", out_.task, data_, options_);
    out_.model = evaluated.model;
    std::optional<Answers> before;
    if (!original.empty()) {
      if (labelled()) gold_indices(data_, evaluated.label_names);  // said before the second run
      before = run_task(original, "original", out_.task, data_, options_);
      out_.original = before->model;
      if (labelled()) renumber(*before, evaluated);
    }
    if (labelled()) compare_labels(evaluated, before);
    score(evaluated, before);
    return std::move(out_);
  }

 private:
  bool ranked() const { return out_.task == Task::rerank || out_.task == Task::retrieval; }
  bool labelled() const { return out_.task == Task::classification || out_.task == Task::nli; }

  void leave_out_unjudged() {
    const size_t before = data_.queries.size();
    std::erase_if(data_.queries, [](const TaskQuery& q) { return !judged(q); });
    if (const size_t lost = before - data_.queries.size(); lost > 0)
      options_.warning(fmt::format(
          "{} of {} queries have no relevant document (relevance 1 or more) and are left out", lost, before));
  }

  Scoring scoring(const Answers& a) const {
    if (labelled()) return classes(comparison(a));
    return ranked() ? rankings(out_.task, a) : correlations(data_, a);
  }

  ClassComparison comparison(const Answers& a) const {
    return {gold_, a.labels, static_cast<int64_t>(a.label_names.size())};
  }

  void score(const Answers& evaluated, const std::optional<Answers>& original) {
    const auto items = static_cast<size_t>(out_.items);
    const Scoring after = scoring(evaluated);
    const std::vector<double> values = after.metrics(once(items));
    for (size_t m = 0; m < values.size(); ++m) out_.figures.push_back({after.names[m], values[m], {}, {}});
    if (!original) return;
    const Scoring before = scoring(*original);
    const std::vector<double> originals = before.metrics(once(items));
    const auto intervals = paired_bootstrap(items, before.metrics, after.metrics, out_.bootstrap);
    for (size_t m = 0; m < values.size(); ++m) {
      out_.figures[m].original = originals[m];
      out_.figures[m].difference = intervals[m];
    }
  }

  void compare_labels(const Answers& evaluated, const std::optional<Answers>& original) {
    const std::vector<std::string>& names = evaluated.label_names;
    gold_ = gold_indices(data_, names);
    const auto counts = once(gold_.size());
    const std::vector<ClassCount> after = comparison(evaluated).count(counts);
    for (size_t i = 0; i < names.size(); ++i)
      out_.labels.push_back(
          {names[i], after[i].gold, after[i].precision(), after[i].recall(), after[i].f1(), {}});
    if (!original) return;
    const std::vector<ClassCount> before = comparison(*original).count(counts);
    for (size_t i = 0; i < names.size(); ++i) out_.labels[i].original_f1 = before[i].f1();
    int64_t only_original = 0, only_evaluated = 0;
    for (size_t i = 0; i < gold_.size(); ++i) {
      const int64_t a = original->labels[i], b = evaluated.labels[i];
      if (a == b) continue;
      only_original += a == gold_[i];
      only_evaluated += b == gold_[i];
      const auto label = [&](int64_t index) { return names[static_cast<size_t>(index)]; };
      out_.flips.push_back({i, label(gold_[i]), label(a), label(b)});
    }
    out_.mcnemar = mcnemar(only_original, only_evaluated);
  }

  TaskData data_;
  EvaluateOptions options_;
  std::vector<int64_t> gold_;
  Evaluation out_;
};

}  // namespace

Task parse_task(std::string_view spelling) {
  for (Task task : kTasks)
    if (spelling == name(task)) return task;
  std::vector<std::string> all;
  for (Task task : kTasks) all.emplace_back(name(task));
  throw Error(ErrorCode::usage,
              fmt::format("the task \"{}\" is unknown; expected {}", spelling, fmt::join(all, ", ")));
}

const char* name(Task task) noexcept {
  switch (task) {
    case Task::similarity:
      return "similarity";
    case Task::classification:
      return "classification";
    case Task::nli:
      return "nli";
    case Task::rerank:
      return "rerank";
    case Task::retrieval:
      return "retrieval";
  }
  return "";
}

Evaluation evaluate(const std::filesystem::path& model, const std::filesystem::path& original, Task task,
                    const TaskData& data, const EvaluateOptions& options) {
  return Evaluating(task, data, options).result(model, original);
}

}  // namespace mlxe
