// The commands of the program, one file each. Each adds itself to the application and sets `run` when it is
// chosen.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <string>

#include "mlx_encoder/types.h"

namespace mlxe::cli {

// The chosen command, set while the arguments are parsed. Returns the exit status. Throws mlxe::Error.
using Run = std::function<int()>;

void add_embed(CLI::App& app, Run& run);
void add_embed_sparse(CLI::App& app, Run& run);
void add_embed_tokens(CLI::App& app, Run& run);
void add_classify(CLI::App& app, Run& run);
void add_zero_shot(CLI::App& app, Run& run);
void add_tag(CLI::App& app, Run& run);
void add_fill_mask(CLI::App& app, Run& run);
void add_qa(CLI::App& app, Run& run);
void add_choose(CLI::App& app, Run& run);
void add_rerank(CLI::App& app, Run& run);
void add_similarity(CLI::App& app, Run& run);
void add_tokenize(CLI::App& app, Run& run);
void add_doctor(CLI::App& app, Run& run);
void add_compare(CLI::App& app, Run& run);
void add_evaluate(CLI::App& app, Run& run);
void add_matrix(CLI::App& app, Run& run);
void add_sensitivity(CLI::App& app, Run& run);
void add_bench(CLI::App& app, Run& run);
void add_measure(CLI::App& app, Run& run);  // hidden: `compare` and `bench` start it to time one model
void add_convert(CLI::App& app, Run& run);
void add_dequantize(CLI::App& app, Run& run);
void add_inspect(CLI::App& app, Run& run);
void add_verify(CLI::App& app, Run& run);

// Prints "warning: ..." to standard error, each sentence once. Under `--strict`, throws the first one as
// Error(strict).
enum class Strictness { warn, strict };
Warning warnings(Strictness strictness);
// Under `--strict`: warns of each file of a converted folder that differs from its record in
// mlx_encoder.json.
void tell_changed_files(const std::filesystem::path& folder, Strictness strictness, const Warning& warning);

// A progress bar on standard error, drawn only on a terminal. There is one bar at a time; warnings are
// printed above it.
Progress progress();

}  // namespace mlxe::cli
