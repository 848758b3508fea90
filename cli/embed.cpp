// mlx-encoder embed: one vector a text.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/output_file.h"
#include "base/wording.h"
#include "command.h"
#include "npy.h"
#include "print_json.h"
#include "texts.h"

namespace mlxe::cli {
namespace {

constexpr int kShown = 8;  // values of a vector that are printed without --json

struct EmbedArguments {
  RunOptions run;
  TextSource texts;
  std::string prompt_name;
  std::string prompt;
  CLI::Option* literal_prompt = nullptr;
  std::string output;
};

int embed(const EmbedArguments& o) {
  if (!o.output.empty()) require_writable(o.output);  // said before the model is loaded
  const Encoder encoder = o.run.load();
  EmbedOptions options{
      .prompt_name = o.prompt_name, .prompt = std::nullopt, .first_text = 0, .progress = progress()};
  if (o.literal_prompt->count()) options.prompt = o.prompt;

  std::unique_ptr<NpyWriter> npy;
  if (!o.output.empty()) npy = std::make_unique<NpyWriter>(o.output, encoder.info().dimension);
  int64_t done = 0;
  o.texts.read(kWindow, o.run.warning(), [&](std::vector<TextInput> window) {
    const std::vector<std::string> texts =
        single_texts(std::move(window), static_cast<size_t>(done), "embed");
    options.first_text = static_cast<size_t>(done);
    const Vectors vectors = encoder.embed(texts, options);
    if (npy) npy->append(vectors.values);
    for (int64_t i = 0; !npy && i < vectors.rows; ++i) {
      const auto row = vectors.row(i);
      if (o.run.json) {
        print_json(nlohmann::json{{"index", done + i}, {"embedding", row}});
      } else {
        const auto head = row.first(std::min<size_t>(kShown, row.size()));
        std::cout << fmt::format("{}\n  [{:.5f}{}]  {} values\n", texts[i], fmt::join(head, ", "),
                                 row.size() > kShown ? ", ..." : "", row.size());
      }
    }
    done += vectors.rows;
  });
  if (npy) {
    npy->finish();
    std::ostream& said =
        npy->is_standard_output() ? std::cerr : std::cout;  // a sentence after the vectors would damage them
    if (o.run.json)
      print_json(nlohmann::json{{"output", o.output}, {"rows", done}, {"columns", encoder.info().dimension}},
                 -1, said);
    else
      said << fmt::format("{}: {} vectors of {} float32 values\n", cleaned(o.output), done,
                          encoder.info().dimension);
  }
  return 0;
}

}  // namespace

void add_embed(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand("embed", "Compute sentence vectors by the model's own pooling");
  auto o = std::make_shared<EmbedArguments>();
  o->run.add_to(*command);
  o->texts.add_to(*command);
  command->add_option("--prompt-name", o->prompt_name,
                      "Prompt of config_sentence_transformers.json, e.g. query");
  o->literal_prompt = command->add_option("--prompt", o->prompt, "Literal text to put before each text");
  command->add_option("-o,--output", o->output,
                      "Write the vectors to this .npy file (float32, [texts, dimension])");
  command->callback([o, &run] { run = [o] { return embed(*o); }; });
}

}  // namespace mlxe::cli
