// Gates in a file, quality.toml. docs/gates.md is this for users.
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
  std::optional<double> change;  // or this much worse than the baseline, as a share of its value
                                 // neither: no such gate, though it be a default one
};

struct QualityFile {
  std::filesystem::path path, baseline;  // baseline: empty without one
  struct Section {
    std::string pattern;  // of folder names; "*" first
    std::vector<QualityLimit> limits;
  };
  std::vector<Section> sections;
};

// Errors: those of read_toml; format (an unknown key or gate, a limit that is none: file and line);
// not_found (a baseline that limits are relative to).
QualityFile read_quality_file(const std::filesystem::path& path);

struct QualityCheck {
  std::vector<Gate> gates;
  std::vector<std::string> unmeasured;  // gates the file has for this model without a value here
};

// `gates` (the default ones) with those the file has for the model put in their place or added; those named
// in `fixed`, set by hand, stay. Of several sections that match, the last one counts. A gate this command
// measures, but not of this model or with these options, is told to `warn`; one of other commands is only
// listed.
// Errors: not_found, format (the baseline is missing, is none, or has no such value).
QualityCheck check_quality(const QualityFile& file, const Measured& found, std::vector<Gate> gates,
                           const std::set<std::string>& fixed, const Warning& warn);

}  // namespace mlxe
