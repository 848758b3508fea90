// A conversion by somebody who holds the output folder's claim over several.
#pragma once

#include "format/folder_writer.h"
#include "mlx_encoder/convert.h"

namespace mlxe {

IfExists if_exists(IfDone if_done) noexcept;

// convert() under a claim of options.output that was made with if_exists(options.if_done).
Conversion convert(const ConvertOptions& options, const FolderClaim& claim);

}  // namespace mlxe
