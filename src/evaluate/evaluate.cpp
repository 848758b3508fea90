#include "mlx_encoder/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/file_errors.h"
#include "base/wording.h"
#include "evaluate/answers.h"
#include "evaluate/label_index.h"
#include "metrics/class_scores.h"
#include "metrics/correlation.h"
#include "metrics/resampling.h"
#include "metrics/span_scores.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr size_t kListedLabels = 10;

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

Scoring spans(const SpanComparison& comparison) {
  return {{"span_f1", "span_precision", "span_recall", "span_macro_f1"}, [comparison](Counts counts) {
            const SpanScores s = comparison.micro(counts);
            return std::vector{s.f1, s.precision, s.recall, comparison.macro(counts).f1};
          }};
}

// The words' tags, a list a sentence.
SpanComparison::Sentences by_sentence(const TaskData& data, const std::vector<std::string>& tags) {
  SpanComparison::Sentences sentences;
  for (size_t s = 0; s < data.sentences.size(); ++s) {
    const size_t end = s + 1 < data.sentences.size() ? data.sentences[s + 1] : tags.size();
    sentences.emplace_back(tags.begin() + static_cast<int64_t>(data.sentences[s]),
                           tags.begin() + static_cast<int64_t>(end));
  }
  return sentences;
}

std::string type_of(const std::string& tag) {
  return tag.size() > 1 && tag[1] == '-' ? tag.substr(2) : tag;
}

// Gold tags, those given as numbers by the model's names. A type the model has no tag for is an error.
std::vector<std::string> gold_tags(const TaskData& data, const std::vector<std::string>& names,
                                   Tagging tagging, const Warning& warn) {
  std::set<std::string> model_types, data_types;
  for (const std::string& name : names) model_types.insert(type_of(name));
  std::vector<std::string> gold = data.labels;
  const GoldLabels read = read_gold_labels(data.labels, names, warn);
  if (read.by_number && !read.misfit)
    for (size_t i = 0; i < gold.size(); ++i) gold[i] = names[static_cast<size_t>(read.indices[i])];
  for (const std::string& tag : gold) data_types.insert(type_of(tag));
  for (size_t i = 0; i < gold.size(); ++i) {
    if (gold[i] != "O" && !model_types.contains(type_of(gold[i])))
      throw Error(
          ErrorCode::format,
          fmt::format("{}: {} {}: the tag \"{}\" is not one of the model's; the model has {}, the data {}",
                      data.source, data.unit, data.lines[i], data.labels[i],
                      listed(std::vector(model_types.begin(), model_types.end()), kListedLabels),
                      listed(std::vector(data_types.begin(), data_types.end()), kListedLabels)));
    try {
      tag_spans(std::span(gold).subspan(i, 1), tagging);
    } catch (const Error& e) {
      throw Error(e.code(), fmt::format("{}: {} {}: {}", data.source, data.unit, data.lines[i], e.what()));
    }
  }
  return gold;
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

// Gold labels as indices into the model's.
std::vector<int64_t> gold_indices(const TaskData& data, const std::vector<std::string>& names,
                                  const Warning& warn) {
  GoldLabels read = read_gold_labels(data.labels, names, warn);
  if (!read.misfit) return std::move(read.indices);
  const std::string& misfit = data.labels[*read.misfit];
  const ClassNames by_name(names);
  if (const auto& several = by_name.classes(misfit); several.size() > 1)
    throw Error(
        ErrorCode::format,
        fmt::format("{}: {} {}: the label \"{}\" is the name of the model's classes {}; give numbers",
                    data.source, data.unit, data.lines[*read.misfit], misfit, fmt::join(several, " and ")));
  const std::set<std::string> all(data.labels.begin(), data.labels.end());
  const std::vector<std::string> there(all.begin(), all.end());
  const bool unnamed =
      std::ranges::all_of(names, [](const std::string& n) { return n.starts_with("LABEL_"); });
  throw Error(
      ErrorCode::format,
      fmt::format(
          "{}: {} {}: the label \"{}\" is not one of the model's{}; the model has {}, the data {}; {}",
          data.source, data.unit, data.lines[*read.misfit], misfit,
          read.by_number ? " numbers, as the labels before it are" : "", listed(names, kListedLabels),
          listed(there, kListedLabels),
          unnamed ? "config.json's id2label names none: give their numbers in the data"
                  : "give one of these names or its number"));
}

// The original's predictions, numbered as the evaluated model numbers its labels.
void renumber(Answers& original, const Answers& evaluated) {
  if (original.label_names == evaluated.label_names) return;
  const ClassNames names(evaluated.label_names);
  std::vector<int64_t> number;
  for (const std::string& label : original.label_names) {
    const std::vector<int64_t>& found = names.classes(label);
    if (found.size() != 1 || original.label_names.size() != evaluated.label_names.size())
      throw Error(ErrorCode::unsupported,
                  fmt::format("{} has the labels {}, {} has {}; expected a model and a conversion of it",
                              original.model.folder, listed(original.label_names, kListedLabels),
                              evaluated.model.folder, listed(evaluated.label_names, kListedLabels)));
    number.push_back(found[0]);
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
    out_.items = static_cast<int64_t>(ranked()   ? data_.queries.size()
                                      : tagged() ? data_.sentences.size()
                                                 : data_.texts.size());
    if (tagged()) out_.words = static_cast<int64_t>(data_.texts.size());
    if (out_.items == 0)
      throw Error(ErrorCode::usage,
                  fmt::format("{}: no items to evaluate on; expected at least one", data.source));
  }

  // `known`: the original's answers; filled in where they are not there yet.
  Evaluation result(const std::filesystem::path& model, const std::filesystem::path& original,
                    std::optional<Answers>& known) {
    Answers evaluated = run_task(model, "model", out_.task, data_, options_);
    out_.model = evaluated.model;
    std::optional<Answers> before;
    if (tagged()) gold_tags_ = gold_tags(data_, evaluated.label_names, options_.tagging, options_.warning);
    if (!original.empty()) {
      if (labelled())
        gold_indices(data_, evaluated.label_names, options_.warning);  // warns before the second run
      if (!known) known = run_task(original, "original", out_.task, data_, options_);
      before = known;
      out_.original = before->model;
      if (labelled()) renumber(*before, evaluated);
    }
    if (labelled()) compare_labels(evaluated, before);
    if (tagged()) compare_tags(evaluated, before);
    score(evaluated, before);
    return std::move(out_);
  }

 private:
  bool ranked() const { return out_.task == Task::rerank || out_.task == Task::retrieval; }
  bool tagged() const { return out_.task == Task::ner; }
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
    if (tagged()) return spans(span_comparison(a));
    return ranked() ? rankings(out_.task, a) : correlations(data_, a);
  }

  ClassComparison comparison(const Answers& a) const {
    return {gold_, a.labels, static_cast<int64_t>(a.label_names.size())};
  }

  SpanComparison span_comparison(const Answers& a) const {
    return {by_sentence(data_, gold_tags_), by_sentence(data_, a.tags), options_.tagging};
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
    gold_ = gold_indices(data_, evaluated.label_names, options_.warning);
    const std::vector<std::string> names = distinct_names(evaluated.label_names);
    const auto counts = once(gold_.size());
    const std::vector<ClassCount> after = comparison(evaluated).count(counts);
    for (size_t i = 0; i < names.size(); ++i)
      out_.labels.push_back(
          {names[i], after[i].gold, after[i].precision(), after[i].recall(), after[i].f1(), {}});
    if (!original) return;
    const std::vector<ClassCount> before = comparison(*original).count(counts);
    for (size_t i = 0; i < names.size(); ++i) out_.labels[i].original_f1 = before[i].f1();
    list_flips(gold_, original->labels, evaluated.labels,
               [&](int64_t i) { return names[static_cast<size_t>(i)]; });
  }

  void compare_tags(const Answers& evaluated, const std::optional<Answers>& original) {
    const auto counts = once(data_.sentences.size());
    std::map<std::string, SpanCount> before;
    if (original) before = span_comparison(*original).count(counts);
    for (const auto& [type, count] : span_comparison(evaluated).count(counts)) {
      const SpanScores s = count.scores();
      out_.labels.push_back({type, count.gold, s.precision, s.recall, s.f1, {}});
      if (original) out_.labels.back().original_f1 = before[type].scores().f1;
    }
    if (original)
      list_flips(gold_tags_, original->tags, evaluated.tags, [](const std::string& tag) { return tag; });
  }

  // `name` of a label or class.
  template <class Label>
  void list_flips(const std::vector<Label>& gold, const std::vector<Label>& original,
                  const std::vector<Label>& evaluated, const auto& name_of) {
    int64_t only_original = 0, only_evaluated = 0;
    for (size_t i = 0; i < gold.size(); ++i) {
      if (original[i] == evaluated[i]) continue;
      only_original += original[i] == gold[i];
      only_evaluated += evaluated[i] == gold[i];
      out_.flips.push_back({i, name_of(gold[i]), name_of(original[i]), name_of(evaluated[i])});
    }
    out_.mcnemar = mcnemar(only_original, only_evaluated);
  }

  TaskData data_;
  EvaluateOptions options_;
  std::vector<int64_t> gold_;
  std::vector<std::string> gold_tags_;
  Evaluation out_;
};

}  // namespace

Evaluation evaluate(const std::filesystem::path& model, const std::filesystem::path& original, Task task,
                    const TaskData& data, const EvaluateOptions& options) {
  std::optional<Answers> answers;
  return evaluate_beside(model, original, answers, task, data, options);
}

Evaluation evaluate_beside(const std::filesystem::path& model, const std::filesystem::path& original,
                           std::optional<Answers>& original_answers, Task task, const TaskData& data,
                           const EvaluateOptions& options) {
  return with_file_errors(
      [&] { return Evaluating(task, data, options).result(model, original, original_answers); });
}

}  // namespace mlxe
