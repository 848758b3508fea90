#include "model.h"

#include <utility>

#include "call.h"
#include "format/json_file.h"
#include "mlx_encoder/adapter.h"
#include "mlx_encoder/hub.h"
#include "values.h"

namespace mlxe::python {
namespace {

using Info = Result<"results.ModelInfo">;

struct LoadOptions {
  HubOptions hub;
  EncoderOptions encoder;
};

struct Loaded {
  Encoder encoder;
  std::string folder;
};

Info info_of(const Encoder& encoder, const std::string& folder) {
  const ModelInfo& i = encoder.info();
  return result<"results.ModelInfo">(
      "folder"_a = folder, "model_type"_a = i.model_type, "layers"_a = i.layers,
      "hidden_size"_a = i.hidden_size, "vocab_size"_a = i.vocab_size, "max_tokens"_a = i.max_tokens,
      "dimension"_a = i.dimension, "late_interaction"_a = i.late_interaction,
      "problem_type"_a = i.problem_type, "score_function"_a = i.score_function, "labels"_a = i.labels,
      "token_labels"_a = i.token_labels, "mask_token"_a = i.mask_token, "prompts"_a = i.prompts,
      "default_prompt"_a = i.default_prompt, "routes"_a = i.routes, "engine"_a = i.engine,
      "engine_variant"_a = i.engine_variant, "activations"_a = name(i.activations));
}

std::pair<Model, Info> load(const std::string& model, const std::string& task,
                            const std::vector<std::string>& adapters,
                            const std::optional<std::string>& cache_folder,
                            const std::optional<std::string>& token, std::optional<bool> offline,
                            const std::string& engine, const std::string& activations, int threads,
                            int64_t max_length, bool allow_unknown, const nb::object& progress) {
  LoadOptions options{.hub = {.token = token, .offline = offline},
                      .encoder = {.engine = parse_engine(engine),
                                  .activations = parse_activations(activations),
                                  .threads = threads,
                                  .max_length = max_length,
                                  .allow_unknown = allow_unknown}};
  if (cache_folder) options.hub.cache = *cache_folder;
  Loaded loaded =
      run(progress, OnInterrupt::leave, [model, task, adapters, options](CallState& call) mutable -> Loaded {
        options.hub.warning = options.encoder.warning = call.warning();
        options.hub.progress = call.progress();
        const std::filesystem::path folder = source_folder(model, task, adapters, options.hub);
        return {Encoder::load(folder, options.encoder), folder.string()};
      });
  Info info = info_of(loaded.encoder, loaded.folder);
  return {Model{std::make_shared<const Encoder>(std::move(loaded.encoder))}, std::move(info)};
}

}  // namespace

EmbedTask parse_embed_task(const std::string& task) {
  if (task == "query") return EmbedTask::query;
  return task == "document" ? EmbedTask::document : EmbedTask::any;
}

std::filesystem::path source_folder(const std::string& model, const std::string& task,
                                    const std::vector<std::string>& adapters, const HubOptions& hub) {
  std::vector<std::filesystem::path> folders;
  for (const std::string& adapter : adapters) folders.push_back(model_folder(adapter, hub));
  const std::filesystem::path folder = model_folder(model, hub);
  return adapted_model(task.empty() ? folder : task_model(folder, task), folders);
}

void bind_model(nb::module_& m) {
  nb::class_<Model> model(m, "Model", "A loaded model.");
  bind_vectors(model);
  bind_heads(model);
  bind_corpus(model);
  m.def("load", load, "model"_a, "task"_a, "adapters"_a, "cache_folder"_a.none(), "token"_a.none(),
        "offline"_a.none(), "engine"_a, "activations"_a, "threads"_a, "max_length"_a, "allow_unknown"_a,
        "progress"_a.none(), "The model and its results.ModelInfo.");
}

}  // namespace mlxe::python
