// Which engine runs a model, and in which precision.
#pragma once

#include <string_view>

namespace mlxe {

enum class EngineKind { automatic, mlx, cpu };       // automatic: mlx where it has a GPU, else cpu
EngineKind parse_engine(std::string_view spelling);  // "auto", "mlx", "cpu"; throws usage

// The type to which the cpu engine converts activations for a matrix product (docs/running.md has the
// errors):
//   int8     signed 8-bit codes with a scale per token and group of columns, if the matrix is quantized
//   bf16     bfloat16, for all matrices; weights are rounded to bfloat16, too
//   float32  no conversion
// automatic: for quantized matrices the fastest type of the processor's kernel variant, for float matrices
// float32. The MLX engine always uses float32: int8 or bf16 makes the automatic engine cpu, and is an error
// (usage) with mlx.
enum class Activations { automatic, int8, bf16, float32 };
Activations parse_activations(std::string_view spelling);  // "auto", "int8", "bf16", "f32"; throws usage
const char* name(Activations activations) noexcept;        // the spelling of parse_activations

}  // namespace mlxe
