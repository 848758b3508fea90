// Models of the Hugging Face hub among a command's arguments.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace mlxe::cli {

// What an argument for a model may be, for the help texts.
inline const std::string kModelForms = "a folder, a weight file or a name on the hub";

// For the chosen command, once it is parsed: each argument for a model that names one on the hub, and is no path, gets the
// folder of the model in the cache as its value. Downloads what is missing there. Every argument for a model is listed
// in model_names.cpp; matrix.cpp does the same for the models of its list. Errors: as hub_snapshot; usage (a file of the
// cache would be written).
// An adapter counts as a model here. The model that --adapter and --task belong to becomes a folder with the adapters
// merged.
void fetch_models(const CLI::App& app);

// Gives each command that reads a model the options --adapter and --task (evaluate: --model-task). Call it once all
// commands are added.
void add_adapter_options(CLI::App& app);

}  // namespace mlxe::cli
