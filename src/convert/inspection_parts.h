// Parts of inspect_model() that are not about single tensors.
#pragma once

#include <cstdint>
#include <filesystem>

#include "convert/folder_tokenizer.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/inspect.h"

namespace mlxe {

double bits_per_weight(uint64_t bytes, uint64_t parameters);

// Inspects a folder with an unknown quantization, without decoding it. `error`: why it can't be read.
// Errors: those of reading config.json and headers.
Inspection inspect_foreign(const std::filesystem::path& folder, const Error& error);

// Sets mode_at_8_bits and bytes_at_8_bits for the mode that quantizes more matrices: affine, or int8 if no group size
// divides the rows. Both keep their defaults if no conversion is possible.
void predict_size_at_8_bits(const std::filesystem::path& folder, const FolderTokenizer& tokenizer,
                            Inspection& inspection);

}  // namespace mlxe
