// What a cell of a sweep is made from. Two cells of one key are the same, and the second need not be made.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "mlx_encoder/matrix.h"

namespace mlxe {

// SHA-256 of files, each read once.
class FileHashes {
 public:
  const std::string& of(const std::filesystem::path& file);  // errors: not_found, io
  // Of a folder: of the names and hashes of all files in it.
  const std::string& of_tree(const std::filesystem::path& path);

 private:
  std::map<std::filesystem::path, std::string> known_;
};

// The tool's version; the plan (every option of the conversion, calibration texts too) and the source files;
// what is measured on, how, and the gates. No paths of this machine: a copy of the folder keeps its cells.
// Errors: those of plan_conversion for `conversion`; not_found, io.
nlohmann::json cell_key(const SweepModel& model, const SweepScheme& scheme, const ConvertOptions& conversion,
                        const SweepOptions& options, FileHashes& hashes);

}  // namespace mlxe
