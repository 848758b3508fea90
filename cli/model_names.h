// Models of the Hugging Face hub among a command's arguments.
#pragma once

#include <CLI/CLI.hpp>

namespace mlxe::cli {

// For the chosen command, once it is parsed: each argument for a model that names one on the hub, and is no path, gets the
// folder of the model in the cache as its value. Downloads what is missing there. Every argument for a model is listed
// in model_names.cpp; matrix.cpp does the same for the models of its list. Errors: as hub_snapshot; usage (a file of the
// cache would be written).
void fetch_models(const CLI::App& app);

}  // namespace mlxe::cli
