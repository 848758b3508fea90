// Limits that a conversion has to keep. docs/gates.md lists every value that a gate can limit.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mlxe {

// One limit that was applied; NaN never passes.
struct Gate {
  std::string tensor, metric;  // "pooled_vector", "cosine"
  double limit = 0, value = 0;
  bool passed = false;
  std::string where;  // "quality.toml:12"; empty for a gate that is not from a file
  std::string basis;  // of a limit relative to a baseline: "110 % of 4.1, measured by ..."

  std::string name() const { return tensor + "." + metric; }
  bool at_least() const;  // passes at or above its limit (cosines, p-values, scores), else at or below it
  // "gate pooled_vector.cosine failed: 0.97, expected at least 0.98 (quality.toml:12)"
  std::string failure() const;
};

// The limits of the default gates.
struct GateLimits {
  std::optional<double> cosine;  // unset: follows from the bits stored (docs/gates.md)
  std::optional<double> relative_error, neighbours_kept;  // of sentence vectors; unset: follow from cosine
  double mse = 1e-4;
  double max_abs = 0.1;
};

// Adds a gate, moves the limit of one, or (no limit) removes it. The names are in docs/gates.md.
struct GateSetting {
  std::string tensor, metric;
  std::optional<double> limit;
};
// "pooled_vector.cosine=0.99", "probabilities.mse=off". Throws usage.
GateSetting parse_gate(std::string_view text);

}  // namespace mlxe
