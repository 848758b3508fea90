// mlx-encoder choose: the choice that fits a prompt best.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "arguments.h"
#include "command.h"
#include "mlx_encoder/error.h"
#include "print_json.h"
#include "texts.h"

namespace mlxe::cli {
namespace {

constexpr const char* kPromptColumns[] = {"prompt", "question", "premise", "text"};
constexpr const char* kTextColumn[] = {"text"};  // of choices to one prompt
constexpr const char* kChoices = "choices";
constexpr std::string_view kChoicePrefixes[] = {"choice", "ending"};  // choice1, choice2, ...; ending0, ...

struct ChooseCommand {
  RunOptions run;
  std::string prompt;
  CLI::Option* prompt_option = nullptr;
  TextSource choices;
};

std::vector<std::string> choices_of(const CellRow& row) {
  std::vector<std::string> choices;
  if (row.has(kChoices)) choices = row.list(kChoices);
  for (const std::string_view prefix : kChoicePrefixes) {
    std::vector<std::string> numbered = row.numbered(prefix);
    if (!choices.empty() && !numbered.empty())
      throw Error(ErrorCode::format,
                  fmt::format("{}: found columns {}1, ... beside other choices, expected one of the two",
                              row.where(), prefix));
    if (choices.empty()) choices = std::move(numbered);
  }
  if (choices.empty())
    throw Error(ErrorCode::format,
                fmt::format("{}: found no choices, expected a list \"{}\" or columns {}1, {}2, ...",
                            row.where(), kChoices, kChoicePrefixes[0], kChoicePrefixes[0]));
  if (const auto empty = std::ranges::find(choices, ""); empty != choices.end())
    throw Error(ErrorCode::format, fmt::format("{}: choice {} is empty, expected a text", row.where(),
                                               empty - choices.begin() + 1));
  return choices;
}

ChoiceInput input_of(const CellRow& row) {
  auto prompt = row.text(kPromptColumns);
  if (!prompt)
    throw Error(ErrorCode::format, fmt::format("{}: found no prompt, expected a column {}", row.where(),
                                               fmt::join(kPromptColumns, " or ")));
  return {std::move(*prompt), choices_of(row)};
}

// For people.
void print(const ChoiceInput& input, const Prediction& p) {
  std::cout << input.prompt << '\n';
  for (size_t i = 0; i < input.choices.size(); ++i)
    std::cout << fmt::format("{} {:.4f}  {}\n", static_cast<int64_t>(i) == p.best ? "*" : " ", p.scores[i],
                             input.choices[i]);
}

int choose(const ChooseCommand& o) {
  const Encoder encoder = o.run.load(RunOptions::Use::no_vectors);
  size_t done = 0;
  std::vector<ChoiceInput> inputs;
  const auto run = [&] {
    const auto predictions = encoder.choose(inputs, {.first_text = done, .progress = progress()});
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Prediction& p = predictions[i];
      if (o.run.json)
        print_json(nlohmann::json{{"index", done + i},
                                  {"best", p.best},
                                  {"choice", inputs[i].choices[static_cast<size_t>(p.best)]},
                                  {"scores", p.scores},
                                  {"logits", p.logits}});
      else
        print(inputs[i], p);
    }
    done += inputs.size();
    inputs.clear();
  };
  if (o.prompt_option->count() > 0) {
    ChoiceInput& only = inputs.emplace_back(ChoiceInput{o.prompt, {}});
    o.choices.read_cells([&](const CellRow& row) {
      auto choice = row.text(kTextColumn);
      if (!choice || row.has(kChoices) || row.has(kPromptColumns[0]))
        throw Error(ErrorCode::usage,
                    fmt::format("{}: found no \"text\" alone; leave the prompt out for a file of prompts",
                                row.where()));
      only.choices.push_back(std::move(*choice));
    });
  } else {
    o.choices.read_cells([&](const CellRow& row) {
      inputs.push_back(input_of(row));
      if (inputs.size() == kWindow) run();
    });
  }
  if (!inputs.empty()) run();
  return 0;
}

}  // namespace

void add_choose(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "choose", "Choose among answers or continuations of a prompt, by a multiple choice model");
  auto o = std::make_shared<ChooseCommand>();
  o->run.add_to(*command);
  o->prompt_option =
      command->add_option("prompt", o->prompt, "Prompt; left out for a file of prompts with choices");
  o->choices.add_to(*command, true);
  command->callback([o, &run] { run = [o] { return choose(*o); }; });
}

}  // namespace mlxe::cli
