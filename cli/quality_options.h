// Options and reports of quality gates, shared by convert, compare and evaluate.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <span>

#include "mlx_encoder/compare.h"

namespace mlxe::cli {

// Adds --gates, and --save-baseline unless `save_baseline` is null.
void add_quality(CLI::App& command, std::filesystem::path& gates, std::filesystem::path* save_baseline);

// Names each gate that failed on standard error. Returns the exit status: 3 if one did, else 0.
int report_gates(std::span<const Gate> gates);

}  // namespace mlxe::cli
