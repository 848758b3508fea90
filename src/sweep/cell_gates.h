// The gates of a cell.
#pragma once

#include <optional>
#include <vector>

#include "mlx_encoder/matrix.h"

namespace mlxe {

// If both measure a value (labels.flips, task.accuracy), that of the evaluation counts.

// Fraction of items whose label changed; none without labels.
std::optional<double> flips_of(const Comparison& comparison, const std::optional<Evaluation>& evaluation);

// The comparison's gates with the scheme's settings, then the model's settings, applied. A setting of a value that this
// model does not have (labels, a task) is ignored.
std::vector<Gate> cell_gates(const Comparison& comparison, const std::optional<Evaluation>& evaluation,
                             const SweepScheme& scheme, const SweepModel& model);

}  // namespace mlxe
