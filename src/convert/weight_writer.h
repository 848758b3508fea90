// The weights of a conversion, streamed tensor by tensor.
#pragma once

#include <filesystem>

#include "calibrate/calibrate.h"
#include "convert/prepared_conversion.h"

namespace mlxe {

// Writes every shard into `folder`. Tensors in `calibrated` are taken from there. Memory: slices of 8 million values.
// Reports progress in bytes of the source, stage "converting". Errors: numeric (names tensor and row), io,
// strict.
void write_weights(const PreparedConversion& prepared, const CalibratedWeights& calibrated,
                   const std::filesystem::path& folder, const Progress& progress);

}  // namespace mlxe
