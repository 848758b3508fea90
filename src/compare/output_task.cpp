#include "compare/output_task.h"

#include <fmt/format.h>

#include <algorithm>

#include "evaluate/label_index.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

// Gold labels as indices into the model's.
std::vector<int64_t> gold_indices(const std::vector<std::string>& gold,
                                  const std::vector<std::string>& labels, const Warning& warn) {
  GoldLabels read = read_gold_labels(gold, labels, warn);
  if (!read.misfit) return std::move(read.indices);
  const std::string& misfit = gold[*read.misfit];
  if (ClassNames(labels).classes(misfit).size() > 1)
    throw Error(
        ErrorCode::format,
        fmt::format("text {}: several of the model's classes have the name of the gold label \"{}\"; give "
                    "their numbers",
                    *read.misfit + 1, misfit));
  throw Error(ErrorCode::format, fmt::format("text {}: the gold label \"{}\" is not one of the model's: {}",
                                             *read.misfit + 1, misfit, fmt::join(labels, ", ")));
}

void check_lengths(const CompareInput& input) {
  for (auto [name, size] :
       {std::pair("labels", input.labels.size()), std::pair("scores", input.scores.size())})
    if (size != 0 && size != input.texts.size())
      throw Error(ErrorCode::usage, fmt::format("{} gold {} for {} texts; give one a text, or none", size,
                                                name, input.texts.size()));
}

}  // namespace

OutputTask output_task(const Sides& sides, const CompareInput& input, const Warning& warn) {
  const Model& model = sides.original().model();
  OutputTask task;
  task.classifier = sides.classifier();
  task.by_token = sides.by_token();
  task.problem = sides.problem();
  task.labels = sides.classifies_tokens() ? model.token_labels : model.labels;
  task.hidden_size = model.hidden_size();

  check_lengths(input);
  const int64_t outputs = sides.classifies_texts() ? static_cast<int64_t>(model.labels.size()) : 0;
  if (!input.labels.empty()) {
    if (outputs > 1 && task.problem == ProblemType::single_label)
      task.gold = gold_indices(input.labels, model.labels, warn);
    else
      warn(fmt::format("the gold labels are ignored: the model is not a classifier with one label per text{}",
                       sides.classifies_tokens() ? "; evaluate --task ner takes those of words" : ""));
  }
  if (!input.scores.empty()) {
    const bool pairs =
        std::ranges::all_of(input.texts, [](const TextInput& t) { return t.pair.has_value(); });
    if (sides.classifies_texts() ? outputs == 1 : pairs && !task.classifier)
      task.scores = input.scores;
    else
      warn(
          "the gold scores are ignored: they need an embedding model and pairs, or a model with one "
          "output");
  }
  return task;
}

}  // namespace mlxe
