#include "encoder/multiple_choice.h"

#include <fmt/format.h>

#include <algorithm>

#include "encoder/score_function.h"
#include "mlx_encoder/error.h"

namespace mlxe {

std::vector<Prediction> rate_choices(const TextRunner& runner, std::span<const ChoiceInput> prompts,
                                     const ClassifyOptions& options) {
  if (!runner.model().has(Output::choice_logits))
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: the model has no multiple choice head that this version computes; "
                            "use a ...ForMultipleChoice checkpoint",
                            runner.checkpoint().folder().string()));
  std::vector<TextInput> pairs;
  std::vector<size_t> prompt_of;  // a pair
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (prompts[i].choices.empty())
      throw Error(ErrorCode::usage,
                  fmt::format("text {}: found no choice, expected at least one", options.first_text + i + 1));
    for (const std::string& choice : prompts[i].choices) {
      pairs.push_back({prompts[i].prompt, choice});
      prompt_of.push_back(i);
    }
  }
  TextRunner::Job job;
  job.wanted = {Output::choice_logits};
  job.follow(options);
  job.text_of = [&](size_t pair) { return prompt_of[pair]; };
  job.inputs = "pairs with the prompts";
  std::vector<float> logits(pairs.size());
  runner.run(pairs, job, [&](const TextRunner::TextResult& r) {
    logits[r.text] = r.result[Output::choice_logits].values[static_cast<size_t>(r.position)];
  });
  std::vector<Prediction> all;
  for (auto first = logits.begin(); const ChoiceInput& prompt : prompts) {
    const auto past = first + std::ssize(prompt.choices);
    Prediction p{.logits = {first, past}};
    p.best = std::ranges::max_element(p.logits) - p.logits.begin();
    p.scores = softmax(p.logits);
    all.push_back(std::move(p));
    first = past;
  }
  return all;
}

}  // namespace mlxe
