// A plan as a person reads it, who knows the paper.
#pragma once

#include <functional>
#include <string>

#include "models/plan.h"

namespace mlxe {

// `stored` says how a tensor is stored ("affine 8-bit g64 f16"); empty: nothing is said. Layers that are alike are
// printed once. A letter is a value, x what the layer before gives and then what this one gives; T is the number of
// tokens, B of texts.
std::string to_text(const Plan& plan, const PlanGraph& graph,
                    const std::function<std::string(const std::string& tensor)>& stored);

}  // namespace mlxe
