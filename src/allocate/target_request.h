// Identifies a conversion to a target, and finds its result in an existing folder.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mlx_encoder/allocate.h"

namespace mlxe::allocate {

// SHA-256 of everything but the model that determines the result: target, options, `texts`, this program's version.
std::string request_of(const ConvertOptions& options, const Target& target,
                       const std::vector<TextInput>& texts);

struct FinishedTarget {
  Conversion conversion;
  Trial chosen;  // as its recipe recorded it
};

// The result in options.output, if the folder is of this request; none if the folder may be written. Errors: usage
// (the folder holds anything else that must stay); those of convert() if the folder was changed.
std::optional<FinishedTarget> finished_before(const ConvertOptions& options, const std::string& request);

}  // namespace mlxe::allocate
