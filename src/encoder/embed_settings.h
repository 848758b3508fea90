// What the options of a call of embed() mean for a model: the prompt, and the form of the vectors.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "format/sentence_modules.h"
#include "mlx_encoder/encoder.h"
#include "models/outputs.h"

namespace mlxe {

// The prompt of a call. `note` gets a sentence if a task leaves out a prompt that the model has. Errors: usage (an
// unknown name; more than one of name, literal prompt and task, unless the task has a route to choose).
//
// For a task it is the prompt that SentenceTransformer 5 takes: each of its models has the prompts "query" and
// "document", which are empty unless the folder has them. So encode_document() never gets to "passage" and "corpus",
// which it names as alternatives, and neither task gets to the default prompt.
std::string prompt_text(const EmbedOptions& options, const SentenceModules& sentence,
                        const std::function<void(const std::string&)>& note);

// What a Router takes the route by.
RouteTask route_task(EmbedTask task) noexcept;
// The output that has the vectors of a task's texts. Errors: usage (the Router has no route for it).
Output sentence_output(EmbedTask task, const SentenceModules& sentence);

// How the vector of a text follows from what the pipeline gives.
struct VectorForm {
  int64_t columns = 0;  // the first values are taken
  bool normalize = false;

  // `row`: at least `columns` values of the pipeline. Writes the first `columns` values of `out`. As in
  // torch.nn.functional.normalize, a length below 1e-12 counts as 1e-12.
  void take(std::span<const float> row, std::span<float> out) const;
};

// `columns`: of the pipeline of SentenceModules::modules. Errors: usage (a dimension below 0 or above `columns`).
VectorForm vector_form(const EmbedOptions& options, const SentenceModules& sentence, int64_t columns);
// The same of another route, with `modules`.
VectorForm vector_form(const EmbedOptions& options, const SentenceModules& sentence,
                       std::span<const SentenceModuleSpec> modules, int64_t columns);

}  // namespace mlxe
