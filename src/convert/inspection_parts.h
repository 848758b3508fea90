// What inspect_model() says beside what it finds in each tensor.
#pragma once

#include <cstdint>
#include <filesystem>

#include "convert/folder_tokenizer.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/inspect.h"

namespace mlxe {

double bits_per_weight(uint64_t bytes, uint64_t parameters);

// A folder whose quantization is somebody else's: what can be said without understanding it. `error`: why it
// can't be read. Errors: those of reading config.json and headers.
Inspection inspect_foreign(const std::filesystem::path& folder, const Error& error);

// Fills in mode_at_8_bits and bytes_at_8_bits: of the mode that quantizes more matrices, int8, which needs no
// groups, only where rows have a length that no group divides. Both stay where no conversion is possible.
void predict_size_at_8_bits(const std::filesystem::path& folder, const FolderTokenizer& tokenizer,
                            Inspection& inspection);

}  // namespace mlxe
