// The program: one file a command. Each adds itself to the application and leaves what to run in `Run`.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <string>

#include "mlx_encoder/types.h"

namespace mlxe::cli {

// Set by the chosen command while the arguments are parsed; returns the exit status. Throws mlxe::Error.
using Run = std::function<int()>;

void add_embed(CLI::App& app, Run& run);
void add_classify(CLI::App& app, Run& run);
void add_zero_shot(CLI::App& app, Run& run);
void add_tag(CLI::App& app, Run& run);
void add_similarity(CLI::App& app, Run& run);
void add_tokenize(CLI::App& app, Run& run);
void add_doctor(CLI::App& app, Run& run);
void add_compare(CLI::App& app, Run& run);
void add_evaluate(CLI::App& app, Run& run);
void add_matrix(CLI::App& app, Run& run);
void add_sensitivity(CLI::App& app, Run& run);
void add_bench(CLI::App& app, Run& run);
void add_measure(CLI::App& app, Run& run);  // hidden: what `compare` and `bench` start to time one model
void add_convert(CLI::App& app, Run& run);
void add_dequantize(CLI::App& app, Run& run);
void add_inspect(CLI::App& app, Run& run);

// Prints "warning: ..." to standard error, each sentence once; under `--strict` the first one is thrown as
// Error(strict).
enum class Strictness { warn, strict };
Warning warnings(Strictness strictness);
// Under `--strict`: tells `warning` of each file of a converted folder that is not as mlx_encoder.json
// records it.
void tell_changed_files(const std::filesystem::path& folder, Strictness strictness, const Warning& warning);

// A progress bar on standard error, drawn only on a terminal. There is one at a time, and warnings go above
// it.
Progress progress();

}  // namespace mlxe::cli
