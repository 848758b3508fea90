// The golden that a conversion stores: what the original and the converted model give for a few texts.
#pragma once

#include <filesystem>
#include <string>

#include "encoder/model_loader.h"
#include "format/provenance.h"
#include "tokenizer/tokenizer.h"
#include "verify/golden.h"

namespace mlxe {

// Heads are not written, only the encoder (--layout mlx-embeddings).
enum class WithHeads { yes, no };

// The golden of `source` with zeros for values; its text has as many bytes as that of the filled one.
Golden golden_form(const LoadedModel& source, const Tokenizer& tokenizer, WithHeads heads);

enum class GoldenSide { original, converted };

// Runs the folder on the cpu engine with float32 activations, for one side's values of `golden`. Any number of threads
// gives the same values. Errors: those of TextRunner.
void fill_golden(Golden& golden, GoldenSide side, const std::filesystem::path& folder, int threads);

// SHA-256 of what mlx_encoder.json records of a folder's files, the golden left out. A golden holds it, so that an
// mlx_encoder.json that was made anew for changed files is noticed.
std::string record_digest(const Fingerprints& output);

}  // namespace mlxe
