// A pass over a plan: operations that an engine computes better as one become one.
#pragma once

#include "models/plan.h"

namespace mlxe {

// Replaces, within each layer, where nothing else reads the values between:
//   linear, activation, linear                             by feed_forward
//   linear, activation; linear; multiply; linear           by feed_forward with a gate (the activated one)
//   add, layer_norm                                        by add_layer_norm
//   linears of one input                                   by one operation
// Heads stay as they are: they read few rows. The results are the same to the bit, unless an engine keeps the values
// between in fewer bits. Values that are no longer made are removed, which renumbers the others. Sets no readers.
PlanGraph fuse(PlanGraph graph);

}  // namespace mlxe
