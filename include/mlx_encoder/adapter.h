// Adapters: small changes of a model's weights that were trained and saved apart from it (PEFT's LoRA and DoRA,
// mlx-lm's LoRA). docs/adapters.md.
#pragma once

#include <filesystem>
#include <span>
#include <string_view>

namespace mlxe {

// A folder of the model with these adapters merged into its weights, in order: give it wherever the folder of a model
// is wanted, such as ConvertOptions::model and Encoder::load. It is temporary, holds links to the files of `model` and
// of the adapters, and is removed when the process ends. The merge happens in memory when the folder is read; the
// same arguments give the same folder. Errors: not_found (a folder without an adapter_config.json or its tensors; no
// such model), format, unsupported (an adapter of another kind), io (the temporary folder cannot be made).
std::filesystem::path adapted_model(const std::filesystem::path& model,
                                    std::span<const std::filesystem::path> adapters);

// A folder of a model whose file has changes of its weights for several tasks (jina-embeddings-v3): with those of this one
// merged, and with the prompt of the same name as the default, if the folder has it. As adapted_model() in all else. A
// folder that states this task and its prompt already is returned as it is. Of a Router with an encoder in each route
// (sentence-transformers): the folder of the model of the task's route ("query", "document"), or of the route of this
// name. Errors: not_found, format; usage (the model has no tasks, or other ones, which are named; it was converted for
// another).
std::filesystem::path task_model(const std::filesystem::path& model, std::string_view task);

}  // namespace mlxe
