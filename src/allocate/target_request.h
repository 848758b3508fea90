// What a conversion to a target was asked for, and whether a folder holds its result already.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mlx_encoder/allocate.h"

namespace mlxe::allocate {

// SHA-256 of all that decides the result beside the model: the target, the options, `texts`, this program.
std::string request_of(const ConvertOptions& options, const Target& target,
                       const std::vector<TextInput>& texts);

struct FinishedTarget {
  Conversion conversion;
  Trial chosen;  // as its recipe recorded it
};

// The result in options.output, if that is of this request; else none, if something may be written there.
// Errors: usage (it holds something else that must stay), those of convert() where the folder has changed.
std::optional<FinishedTarget> finished_before(const ConvertOptions& options, const std::string& request);

}  // namespace mlxe::allocate
