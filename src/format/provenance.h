// mlx_encoder.json records the source, plan and output of a conversion. It serves to recognise the same
// conversion and to detect files that changed afterwards.
//
//   {"output": {"config.json": {"bytes": 812, "sha256": "..."}, ...}, "plan": "<sha256>",
//    "source": {"config.json": {...}, "model.safetensors": {...}, ...}, "tool": "mlx-encoder 0.1.0",
//    "version": 1}
//
// The file holds no absolute paths and no times: the same conversion gives the same file anywhere.
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
  size,     // the sizes alone
  content,  // the sizes, and SHA-256 of every byte
};

struct Provenance {
  std::string plan;     // SHA-256 of the plan and the tool version
  Fingerprints source;  // all files that the output depends on
  Fingerprints output;  // weights, index, config.json, copied files

  std::string text() const;
  // `where` names the text in messages. Errors: format, unsupported (written by another version).
  static Provenance parse(std::string_view text, const std::string& where);
  // nullopt if the folder has no mlx_encoder.json. Errors: those of parse, io.
  static std::optional<Provenance> read(const std::filesystem::path& folder);
  // One sentence for each file of `output` that is missing or not as recorded. Errors: io.
  std::vector<std::string> changes(const std::filesystem::path& folder, FileCheck check) const;

  friend bool operator==(const Provenance&, const Provenance&) = default;
};

// Provenance::changes() for the folder's own mlx_encoder.json. If mlx_encoder.json or a file can't be read,
// returns one sentence that says so. Empty if nothing changed or the folder has no mlx_encoder.json. Throws
// no Error.
std::vector<std::string> changes_since_conversion(const std::filesystem::path& folder, FileCheck check);

}  // namespace mlxe
