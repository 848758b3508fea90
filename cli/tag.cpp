// mlx-encoder tag: entities in texts, by a token classifier.
#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "arguments.h"
#include "base/utf8.h"
#include "command.h"
#include "print_json.h"
#include "texts.h"

namespace mlxe::cli {
namespace {

struct TagArguments {
  RunOptions run;
  TextSource texts;
  std::string aggregation = "simple";
  std::optional<int64_t> stride;
};

int tag(const TagArguments& o) {
  const Aggregation aggregation = parse_aggregation(o.aggregation);
  const Encoder encoder = o.run.load();
  const std::vector<std::string>& labels = encoder.info().token_labels;
  size_t done = 0;
  o.texts.read(kWindow, o.run.warning(), [&](std::vector<TextInput> window) {
    const std::vector<std::string> texts = single_texts(std::move(window), done, "tag");
    const auto tokens =
        encoder.score_tokens(texts, {.stride = o.stride, .first_text = done, .progress = progress()});
    for (size_t i = 0; i < texts.size(); ++i) {
      nlohmann::json found = nlohmann::json::array();
      const CodePoints points(texts[i]);
      if (!o.run.json) std::cout << texts[i] << '\n';
      for (const Entity& e : entities(tokens[i], labels, aggregation)) {
        const std::string words(points.part(e.begin, e.end));
        found.push_back(
            {{"label", e.label}, {"score", e.score}, {"begin", e.begin}, {"end", e.end}, {"text", words}});
        if (!o.run.json) std::cout << fmt::format("  {:<24} {:.4f}  {}\n", e.label, e.score, words);
      }
      if (o.run.json) print_json(nlohmann::json{{"index", done + i}, {"entities", std::move(found)}});
    }
    done += texts.size();
  });
  return 0;
}

}  // namespace

void add_tag(CLI::App& app, Run& run) {
  CLI::App* command =
      app.add_subcommand("tag", "Find entities (names, places, ...) in texts by a token classifier");
  auto o = std::make_shared<TagArguments>();
  o->run.add_to(*command);
  o->texts.add_to(*command);
  command
      ->add_option("--aggregation", o->aggregation,
                   "none (each token), simple (neighbours of one type), or by word: first, average, max")
      ->capture_default_str();
  command
      ->add_option(
          "--stride", o->stride,
          "Read texts beyond the limit in windows; neighbouring windows have this many tokens in common")
      ->check(at_least(0));
  command->callback([o, &run] { run = [o] { return tag(*o); }; });
}

}  // namespace mlxe::cli
