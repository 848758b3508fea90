// The common part of convert and dequantize: options, and the output of a finished conversion.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "gates/quality.h"
#include "mlx_encoder/allocate.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/hub.h"

namespace mlxe::cli {

struct FolderOptions {
  std::string model, model_option, output = "mlx_model", dtype, shard_size = "5GB", upload_repo;
  int threads = 0;
  bool allow_unknown = false, strict = false, force = false, json = false;

  void add_to(CLI::App& command);
  // Errors: usage.
  std::filesystem::path source() const;
  uint64_t max_shard_size() const;
  // If --upload-repo is given. The first throws if an upload could not begin.
  void require_upload() const;
  std::optional<Uploaded> upload(const std::filesystem::path& folder) const;
  IfDone if_done() const { return force ? IfDone::rewrite : IfDone::skip; }
};

enum class Written { yes, no };  // no: --dry-run

// What happened after a conversion.
struct Afterwards {
  std::optional<QualityCheck> checked = {};
  std::optional<Uploaded> uploaded = {};
};

// Prints a table and a summary, or one JSON object.
void show(const Conversion& result, Written written, const FolderOptions& options,
          const Afterwards& after = {});
void show(const TargetedConversion& result, Written written, const FolderOptions& options,
          const Afterwards& after = {});

// The dequantize command; also what `convert -d` runs.
int dequantize(const FolderOptions& options);

}  // namespace mlxe::cli
