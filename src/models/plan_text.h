// A plan as text for readers who know the model's paper.
#pragma once

#include <functional>
#include <string>

#include "models/plan.h"

namespace mlxe {

// The stored scheme of a tensor, by its name: "affine 8-bit g64 float16"; empty: not printed.
using StoredAs = std::function<std::string(const std::string& tensor)>;

// Layers that are alike are printed once, heads under the names of their outputs. A letter is a value; x is what the
// layer before gives, then what this one gives. T is the number of tokens, B of texts.
std::string to_text(const Plan& plan, const PlanGraph& graph, const StoredAs& stored);

}  // namespace mlxe
