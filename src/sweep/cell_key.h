// The key of a cell identifies all its inputs. A cell with the key of an existing record is not made again.
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
  // For a folder: the SHA-256 of the names and hashes of its files.
  const std::string& of_tree(const std::filesystem::path& path);

 private:
  std::map<std::filesystem::path, std::string> known_;
};

// Consists of the program's version, the plan (all options of the conversion, with calibration texts), the source files,
// the texts and data, the options of the measurement, and the gates. Holds no paths, so that a copied folder keeps its
// cells.
// Errors: those of plan_conversion for `conversion`; not_found, io.
nlohmann::json cell_key(const SweepModel& model, const SweepScheme& scheme, const ConvertOptions& conversion,
                        const SweepOptions& options, FileHashes& hashes);

}  // namespace mlxe
