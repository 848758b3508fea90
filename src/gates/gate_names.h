// Everything a gate can stand on: its name, which way is good, and which commands measure it.
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
};

// Of "pooled_vector.cosine" ("layer_3.mse" for any layer); none: there is no such gate.
std::optional<GateKind> gate_kind(std::string_view name);
// For a message about a name that is none: the metrics of its group, or all groups.
std::string known_gates(std::string_view name);

}  // namespace mlxe
