// What a folder stores, in bytes and bits, and in what.
#pragma once

#include "encoder/text_runner.h"
#include "gates/limits.h"
#include "mlx_encoder/measurement.h"

namespace mlxe {

// Errors: those of Checkpoint::stored.
StoredSize stored_size(const TextRunner& runner);

// The cosine a conversion stored like this should keep. A weight that carries the scale of a fake
// quantization counts as 8 bits, which is what its rounding was.
ExpectedCosine expected_cosine(const Checkpoint& checkpoint);

}  // namespace mlxe
