// mlx-encoder classify and zero-shot: labels and probabilities.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>

#include "command.h"
#include "evaluate/label_index.h"
#include "mlx_encoder/error.h"
#include "print_json.h"
#include "texts.h"

namespace mlxe::cli {
namespace {

struct ClassifyCommand {
  RunOptions run;
  TextSource texts;
  PairOption pair;
};

struct ZeroShotCommand {
  RunOptions run;
  TextSource texts;
  std::vector<std::string> labels;
  ZeroShotOptions options;
};

// Labels and scores by falling score, for people.
std::string ranking(std::span<const float> scores, std::span<const std::string> labels) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::greater{}, [&](size_t i) { return scores[i]; });
  std::string text;
  for (size_t i : order) text += fmt::format("  {:<24} {:.4f}\n", labels[i], scores[i]);
  return text;
}

nlohmann::json scores_by_label(std::span<const float> scores, std::span<const std::string> labels) {
  nlohmann::json object = nlohmann::json::object();
  for (size_t i = 0; i < scores.size(); ++i) object[labels[i]] = scores[i];
  return object;
}

// Removes the space around labels, and empty labels, as in transformers' pipeline. A label that occurs
// twice would get half the score each time, so it is taken once. Warns of labels that are left out.
std::vector<std::string> candidate_labels(const std::vector<std::string>& given, const Warning& warn) {
  std::vector<std::string> labels;
  for (const std::string& label : given) {
    constexpr const char* kSpace = " \t\r\n\v\f";
    const size_t first = label.find_first_not_of(kSpace);
    if (first == label.npos) {
      warn("--labels: an empty label was left out");
      continue;
    }
    std::string trimmed = label.substr(first, label.find_last_not_of(kSpace) + 1 - first);
    if (std::ranges::find(labels, trimmed) == labels.end())
      labels.push_back(std::move(trimmed));
    else
      warn(fmt::format("--labels: \"{}\" was given twice; the second was left out", trimmed));
  }
  if (labels.empty()) throw Error(ErrorCode::usage, "--labels: no label, expected at least one");
  return labels;
}

int classify(const ClassifyCommand& o) {
  const Encoder encoder = o.run.load();
  const std::vector<std::string> labels = distinct_names(encoder.info().labels);
  size_t done = 0;
  o.texts.read(kWindow, o.run.warning(), [&](std::vector<TextInput> window) {
    o.pair.apply(window, done);
    const auto predictions = encoder.classify(window, {.first_text = done, .progress = progress()});
    for (size_t i = 0; i < predictions.size(); ++i) {
      const Prediction& p = predictions[i];
      if (o.run.json)
        print_json(nlohmann::json{{"index", done + i},
                                  {"label", labels[p.best]},
                                  {"scores", scores_by_label(p.scores, labels)},
                                  {"logits", p.logits}});
      else
        std::cout << window[i].text << (window[i].pair ? "  |  " + *window[i].pair : "") << '\n'
                  << ranking(p.scores, labels);
    }
    done += predictions.size();
  });
  return 0;
}

int zero_shot(const ZeroShotCommand& o) {
  const std::vector<std::string> labels = candidate_labels(o.labels, o.run.warning());
  const Encoder encoder = o.run.load();
  size_t done = 0;
  o.texts.read(kWindow, o.run.warning(), [&](std::vector<TextInput> window) {
    const std::vector<std::string> texts = single_texts(std::move(window), done, "zero-shot");
    ZeroShotOptions options = o.options;
    options.first_text = done;
    options.progress = progress();
    const auto scores = encoder.zero_shot(texts, labels, options);
    for (size_t i = 0; i < texts.size(); ++i) {
      if (o.run.json)
        print_json(nlohmann::json{{"index", done + i},
                                  {"label", labels[std::ranges::max_element(scores[i]) - scores[i].begin()]},
                                  {"scores", scores_by_label(scores[i], labels)}});
      else
        std::cout << texts[i] << '\n' << ranking(scores[i], labels);
    }
    done += texts.size();
  });
  return 0;
}

}  // namespace

void add_classify(CLI::App& app, Run& run) {
  CLI::App* command =
      app.add_subcommand("classify", "Print labels and probabilities by a sequence classifier");
  auto o = std::make_shared<ClassifyCommand>();
  o->run.add_to(*command);
  o->texts.add_to(*command);
  o->pair.add_to(*command, "Second text of every pair, where the input has none of its own");
  command->callback([o, &run] { run = [o] { return classify(*o); }; });
}

void add_zero_shot(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand("zero-shot", "Score labels of your own by an NLI classifier");
  auto o = std::make_shared<ZeroShotCommand>();
  o->run.add_to(*command);
  o->texts.add_to(*command);
  command->add_option("--labels", o->labels, "Candidate labels, separated by commas")
      ->required()
      ->delimiter(',')
      ->allow_extra_args(false);
  command->add_option("--template", o->options.hypothesis_template, "Hypothesis; {} stands for the label")
      ->capture_default_str();
  command->add_flag("--multi-label", o->options.multi_label, "Score each label on its own");
  command->callback([o, &run] { run = [o] { return zero_shot(*o); }; });
}

}  // namespace mlxe::cli
