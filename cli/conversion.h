// The common part of convert and dequantize: options, and the output of a finished conversion.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "gates/quality.h"
#include "mlx_encoder/allocate.h"
#include "mlx_encoder/convert.h"

namespace mlxe::cli {

struct FolderOptions {
  std::string model, model_option, output = "mlx_model", dtype, shard_size = "5GB";
  int threads = 0;
  bool allow_unknown = false, strict = false, force = false, json = false;

  void add_to(CLI::App& command);
  // Errors: usage.
  std::filesystem::path source() const;
  uint64_t max_shard_size() const;
  IfDone if_done() const { return force ? IfDone::rewrite : IfDone::skip; }
};

enum class Written { yes, no };  // no: --dry-run

// Prints a table and a summary, or one JSON object (with the checked gates, if any).
void show(const Conversion& result, Written written, const FolderOptions& options,
          const QualityCheck* checked = nullptr);
void show(const TargetedConversion& result, Written written, const FolderOptions& options,
          const QualityCheck* checked = nullptr);

// The dequantize command; also what `convert -d` runs.
int dequantize(const FolderOptions& options);

}  // namespace mlxe::cli
