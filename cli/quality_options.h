// Quality gates as convert, compare and evaluate all take and report them.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <span>

#include "mlx_encoder/compare.h"

namespace mlxe::cli {

// --gates; with a place for it, also --save-baseline.
void add_quality(CLI::App& command, std::filesystem::path& gates, std::filesystem::path* save_baseline);

// Names each gate that failed on standard error. Returns the exit status: 3 if one did, else 0.
int report_gates(std::span<const Gate> gates);

}  // namespace mlxe::cli
