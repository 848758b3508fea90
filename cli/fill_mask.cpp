// mlx-encoder fill-mask: words for the masks of texts, by a masked language model.
#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "command.h"
#include "print_json.h"
#include "texts.h"

namespace mlxe::cli {
namespace {

struct FillMaskCommand {
  RunOptions run;
  TextSource texts;
  FillMaskOptions options;
};

nlohmann::json json_of(const FilledMask& mask) {
  nlohmann::json fills = nlohmann::json::array();
  for (const MaskFill& f : mask.fills)
    fills.push_back({{"score", f.score}, {"id", f.id}, {"token", f.token}, {"sequence", f.sequence}});
  return {{"position", mask.position}, {"fills", std::move(fills)}};
}

// For people.
void print(const std::string& text, const std::vector<FilledMask>& masks) {
  std::cout << text << '\n';
  for (size_t i = 0; i < masks.size(); ++i) {
    if (masks.size() > 1) std::cout << fmt::format("  mask {}\n", i + 1);
    for (const MaskFill& f : masks[i].fills)
      std::cout << fmt::format("  {:<24} {:.4f}{}\n", f.token, f.score,
                               masks.size() == 1 ? "  " + f.sequence : "");
  }
}

int fill_mask(const FillMaskCommand& o) {
  const Encoder encoder = o.run.load(RunOptions::Use::no_vectors);
  size_t done = 0;
  o.texts.read(kWindow, o.run.warning(), [&](std::vector<TextInput> window) {
    const std::vector<std::string> texts = single_texts(std::move(window), done, "fill-mask");
    FillMaskOptions options = o.options;
    options.first_text = done;
    options.progress = progress();
    const auto filled = encoder.fill_mask(texts, options);
    for (size_t i = 0; i < texts.size(); ++i) {
      if (!o.run.json) {
        print(texts[i], filled[i]);
        continue;
      }
      nlohmann::json masks = nlohmann::json::array();
      for (const FilledMask& mask : filled[i]) masks.push_back(json_of(mask));
      print_json(nlohmann::json{{"index", done + i}, {"masks", std::move(masks)}});
    }
    done += texts.size();
  });
  return 0;
}

}  // namespace

void add_fill_mask(CLI::App& app, Run& run) {
  CLI::App* command =
      app.add_subcommand("fill-mask", "Fill in the masks of texts by a masked language model");
  auto o = std::make_shared<FillMaskCommand>();
  o->run.add_to(*command);
  o->texts.add_to(*command);
  command->add_option("--top-k", o->options.top_k, "Most tokens for a mask")
      ->check(at_least(1))
      ->capture_default_str();
  command->add_option("--targets", o->options.targets, "The only candidates, separated by commas")
      ->delimiter(',')
      ->allow_extra_args(false);
  command->callback([o, &run] { run = [o] { return fill_mask(*o); }; });
}

}  // namespace mlxe::cli
