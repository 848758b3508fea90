// Gates in a file, quality.toml. docs/gates.md describes it for users.
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gates/measured.h"
#include "mlx_encoder/types.h"

namespace mlxe {

struct QualityLimit {
  std::string name, where;  // "pooled_vector.cosine", "quality.toml:12"
  std::optional<double> limit;
  std::optional<double> change;  // or the allowed change from the baseline, as a share of its value
                                 // neither: the gate is off, even a default gate
};

struct QualityFile {
  std::filesystem::path path, baseline;  // baseline: empty without one
  struct Section {
    std::string pattern;  // of folder names; "*" first
    std::vector<QualityLimit> limits;
  };
  std::vector<Section> sections;
};

// Errors: those of read_toml; format (an unknown key or gate, an invalid limit; names file and line);
// not_found (the baseline of relative limits).
QualityFile read_quality_file(const std::filesystem::path& path);

struct QualityCheck {
  std::vector<Gate> gates;
  std::vector<std::string> unmeasured;  // gates of the file for this model that this command did not measure
};

// Applies the gates of the file for this model to `gates` (the default gates): replaces or adds them. Gates in `fixed`,
// set on the command line, stay. If several sections match, the last one wins. `warn` gets each gate that this command
// can measure but did not measure with this model and these options. Gates of other commands are only listed.
// Errors: not_found, format (the baseline is missing, is not a baseline, or has no such value).
QualityCheck check_quality(const QualityFile& file, const Measured& found, std::vector<Gate> gates,
                           const std::set<std::string>& fixed, const Warning& warn);

}  // namespace mlxe
