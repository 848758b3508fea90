// The gates of a cell.
#pragma once

#include <optional>
#include <vector>

#include "mlx_encoder/matrix.h"

namespace mlxe {

// Of figures that both measure (labels.flips, task.accuracy), those of the evaluation count.

// Fraction of items whose label changed; nothing where there are no labels.
std::optional<double> flips_of(const Comparison& comparison, const std::optional<Evaluation>& evaluation);

// The comparison's own gates, then the scheme's settings, then the model's; a setting of something this model
// has not (labels, a task) changes nothing.
std::vector<Gate> cell_gates(const Comparison& comparison, const std::optional<Evaluation>& evaluation,
                             const SweepScheme& scheme, const SweepModel& model);

}  // namespace mlxe
