// Gates on measured values: their limits, and whether they hold.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mlx_encoder/gate.h"

namespace mlxe {

using GateValues = std::map<std::string, double>;  // by the gate's name

// For a name such as "pooled_vector.cosine".
GateSetting gate_setting(std::string_view name, std::optional<double> limit);

bool holds(const Gate& gate);  // false for NaN

// Replaces the gate of the same name by `gate`, or appends `gate`.
void put_gate(std::vector<Gate>& gates, Gate gate);

// Adds a gate, changes its limit, or removes it.
void set_gate(std::vector<Gate>& gates, const GateSetting& setting);

// Sets the value of each gate and whether it passed. `values` must have all of them.
void judge(std::vector<Gate>& gates, const GateValues& values);

}  // namespace mlxe
