// mlx_encoder.json: what a converted folder was made from and what was written, so that the same conversion
// is recognised and a file that changed afterwards is noticed.
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
#include <string_view>
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

enum class FileCheck {
  size,     // a look at the folder
  content,  // the size, and SHA-256 of every byte
};

struct Provenance {
  std::string plan;     // sha256 of what was to be written, tool version included
  Fingerprints source;  // everything that decides the output
  Fingerprints output;  // weights, index, config.json, what was carried over

  std::string text() const;
  // `where` names the text in messages. Errors: format, unsupported (written by another version).
  static Provenance parse(std::string_view text, const std::string& where);
  // nullopt where the folder has none. Errors: those of parse, io.
  static std::optional<Provenance> read(const std::filesystem::path& folder);
  // One sentence for each file of `output` that is missing or not as recorded. Errors: io.
  std::vector<std::string> changes(const std::filesystem::path& folder, FileCheck check) const;

  friend bool operator==(const Provenance&, const Provenance&) = default;
};

// The same of the folder's own mlx_encoder.json; if that or a file can't be read, the one sentence says so.
// Empty where nothing changed, and where the folder has no mlx_encoder.json. Throws no Error.
std::vector<std::string> changes_since_conversion(const std::filesystem::path& folder, FileCheck check);

}  // namespace mlxe
