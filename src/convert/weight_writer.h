// The weights of a conversion, streamed tensor by tensor.
#pragma once

#include <filesystem>

#include "calibrate/calibrate.h"
#include "convert/blueprint.h"

namespace mlxe {

// Writes every shard of the blueprint into `folder`, taking from `calibrated` what is there. Memory: near the
// largest tensor. Tells `options.progress` bytes of the source done. Errors: numeric (names tensor and row),
// io, strict.
void write_weights(const Blueprint& blueprint, const CalibratedWeights& calibrated,
                   const std::filesystem::path& folder, const ConvertOptions& options);

// Reopens a written folder as any reader would and compares each planned tensor: name, dtype, shape, bytes.
// Errors: internal (something is not as planned), io.
void verify_folder(const Blueprint& blueprint, const std::filesystem::path& folder);

}  // namespace mlxe
