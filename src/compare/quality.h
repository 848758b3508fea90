// Quality gates as a file, and the baseline they may be relative to. docs/gates.md is this for users.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "mlx_encoder/compare.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/evaluate.h"

namespace mlxe {

using GateValues = std::map<std::string, double>;  // by the gate's name

enum class MeasuredBy { convert, compare, evaluate };

// What one command found of one model.
struct Measured {
  MeasuredBy by = MeasuredBy::compare;
  std::string model;  // folder_name() of the converted folder
  std::string version, date, machine;
  GateValues values;
};

Measured measured(const Conversion& conversion);
Measured measured(const Comparison& comparison);
Measured measured(const Evaluation& evaluation);

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

// Adds what was found to a baseline, made if missing; replaces what the same command said of the same model.
// Processes that share the file wait for one another. Errors: format (the file is something else), io.
void save_baseline(const std::filesystem::path& file, const Measured& found);
// For who saves after long work: throws now what save_baseline would throw then.
void require_baseline_place(const std::filesystem::path& file);

}  // namespace mlxe
