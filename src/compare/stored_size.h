// The size of a folder in bytes and bits, by part and scheme.
#pragma once

#include "encoder/text_runner.h"
#include "gates/limits.h"
#include "mlx_encoder/measurement.h"

namespace mlxe {

// Errors: those of Checkpoint::stored.
StoredSize stored_size(const TextRunner& runner);

// The limit of the cosine for a conversion stored like this. A weight with the scale of a fake quantization counts as 8
// bits, because it was rounded to 8 bits.
ExpectedCosine expected_cosine(const Checkpoint& checkpoint);

}  // namespace mlxe
