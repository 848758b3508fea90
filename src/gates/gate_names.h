// All values that a gate can limit: the name, which way is good, and which commands measure it. One list for
// quality.toml, matrix.toml and --gate-limit; docs/gates.md describes them for users.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mlxe {

struct GateKind {
  bool at_least = false;  // passes at or above its limit
  bool bytes = false;
  bool timed = false;                                       // time or memory: depends on the machine
  bool convert = false, compare = false, evaluate = false;  // commands that measure it, if the model has it

  bool matrix() const { return evaluate || (compare && !timed); }  // measured by the command of that name
};

// The kind of a gate such as "pooled_vector.cosine" or "layer_3.mse". None if there is no such gate.
std::optional<GateKind> gate_kind(std::string_view name);
// The new name of a renamed gate. None if `name` was not renamed.
std::optional<std::string_view> renamed_gate(std::string_view old);
// For the message about an unknown name: the metrics of its group, or all groups.
std::string known_gates(std::string_view name);

}  // namespace mlxe
