// Gates on figures that were found: which limits are set, and whether they hold.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mlx_encoder/gate.h"

namespace mlxe {

using GateValues = std::map<std::string, double>;  // by the gate's name

// Of "pooled_vector.cosine".
GateSetting gate_setting(std::string_view name, std::optional<double> limit);

bool holds(const Gate& gate);  // false for NaN

// Puts `gate` in the place of the one of its name, else at the end.
void put_gate(std::vector<Gate>& gates, Gate gate);

// Adds a gate, moves the limit of one, or removes it.
void set_gate(std::vector<Gate>& gates, const GateSetting& setting);

// Gives each gate its value and says whether it passed. `values` has one for each.
void judge(std::vector<Gate>& gates, const GateValues& values);

}  // namespace mlxe
