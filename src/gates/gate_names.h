// All values that a gate can limit: the name, which way is good, and which commands measure it. One list for
// quality.toml, matrix.toml and --gate-limit; docs/gates.md is this for users.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mlxe {

struct GateKind {
  bool at_least = false;  // passes at or above its limit
  bool bytes = false;
  bool timed = false;                                       // time or memory: depends on the machine
  bool convert = false, compare = false, evaluate = false;  // measured by, where the model has it

  bool matrix() const { return evaluate || (compare && !timed); }  // measured by the command of that name
};

// Of "pooled_vector.cosine" ("layer_3.mse" for any layer); none: there is no such gate.
std::optional<GateKind> gate_kind(std::string_view name);
// The name that took the place of an old one; none: it is no old name.
std::optional<std::string_view> renamed_gate(std::string_view old);
// For a message about a name that is none: the metrics of its group, or all groups.
std::string known_gates(std::string_view name);

}  // namespace mlxe
