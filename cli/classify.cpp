// mlx-encoder classify and zero-shot: labels and probabilities.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>

#include "command.h"
#include "mlx_encoder/error.h"
#include "print_json.h"
#include "texts.h"

namespace mlxe::cli {
namespace {

struct ClassifyCommand {
  RunOptions run;
  TextSource texts;
  std::string pair;
};

struct ZeroShotCommand {
  RunOptions run;
  TextSource texts;
  std::vector<std::string> labels;
  ZeroShotOptions options;
};

// Labels by falling score: what a person reads.
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

int classify(const ClassifyCommand& o) {
  const Encoder encoder = o.run.load();
  const std::vector<std::string>& labels = encoder.info().labels;
  size_t done = 0;
  o.texts.read(kWindow, [&](std::vector<TextInput> window) {
    if (!o.pair.empty())
      for (TextInput& t : window) t.pair = o.pair;
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
  const Encoder encoder = o.run.load();
  size_t done = 0;
  o.texts.read(kWindow, [&](std::vector<TextInput> window) {
    std::vector<std::string> texts;
    for (const TextInput& t : window) texts.push_back(t.text);
    ZeroShotOptions options = o.options;
    options.first_text = done;
    options.progress = progress();
    const auto scores = encoder.zero_shot(texts, o.labels, options);
    for (size_t i = 0; i < texts.size(); ++i) {
      if (o.run.json)
        print_json(
            nlohmann::json{{"index", done + i},
                           {"label", o.labels[std::ranges::max_element(scores[i]) - scores[i].begin()]},
                           {"scores", scores_by_label(scores[i], o.labels)}});
      else
        std::cout << texts[i] << '\n' << ranking(scores[i], o.labels);
    }
    done += texts.size();
  });
  return 0;
}

}  // namespace

void add_classify(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand("classify", "Labels and probabilities of a sequence classifier");
  auto o = std::make_shared<ClassifyCommand>();
  o->run.add_to(*command);
  o->texts.add_to(*command);
  command->add_option("--pair", o->pair,
                      "Second text of every pair (an input file may have a text_pair of its own)");
  command->callback([o, &run] { run = [o] { return classify(*o); }; });
}

void add_zero_shot(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand("zero-shot", "Labels of your own, scored by an NLI classifier");
  auto o = std::make_shared<ZeroShotCommand>();
  o->run.add_to(*command);
  o->texts.add_to(*command);
  command->add_option("--labels", o->labels, "Candidate labels, separated by commas")
      ->required()
      ->delimiter(',');
  command->add_option("--template", o->options.hypothesis_template, "Hypothesis; {} stands for the label")
      ->capture_default_str();
  command->add_flag("--multi-label", o->options.multi_label, "Score each label on its own");
  command->callback([o, &run] { run = [o] { return zero_shot(*o); }; });
}

}  // namespace mlxe::cli
