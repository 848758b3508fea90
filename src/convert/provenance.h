// mlx_encoder.json: what a converted folder was made from, so that the same conversion is recognised.
//
//   {"output": {"config.json": {"bytes": 812, "sha256": "..."}, ...}, "plan": "<sha256>",
//    "source": {"config.json": {...}, "model.safetensors": {...}, ...}, "tool": "mlx-encoder 0.1.0",
//    "version": 1}
//
// No paths and no times, so the same conversion gives the same file anywhere.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "format/model_folder.h"

namespace mlxe {

struct Fingerprint {
  uint64_t bytes = 0;
  std::string sha256;
  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;
};
using Fingerprints = std::map<std::string, Fingerprint>;  // by path relative to the folder

// Reads each file whole. Errors: not_found, io.
Fingerprints fingerprints(const std::filesystem::path& folder, const std::vector<std::string>& files);

struct Provenance {
  std::string plan;     // sha256 of what was to be written, tool version included
  Fingerprints source;  // everything that decides the output
  Fingerprints output;  // weights, index, config.json

  std::string text() const;
  // nullopt where the folder has none, or one this version can't read.
  static std::optional<Provenance> read(const std::filesystem::path& folder);
  // Whether the files of `output` are in the folder, unchanged.
  bool intact(const std::filesystem::path& folder) const;

  friend bool operator==(const Provenance&, const Provenance&) = default;
};

}  // namespace mlxe
