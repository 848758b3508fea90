// Which engine runs a model, and in which precision.
#pragma once

#include <string_view>

namespace mlxe {

enum class EngineKind { automatic, mlx, cpu };       // automatic: mlx where it has a GPU, else cpu
EngineKind parse_engine(std::string_view spelling);  // "auto", "mlx", "cpu"; throws usage

// What the cpu engine turns activations into where they meet a matrix (docs/running.md says what each costs):
//   int8     signed 8-bit codes with a scale per token and group of columns, where the matrix is quantized
//   bf16     bfloat16, and the weights too, of all matrices
//   float32  nothing
// automatic is what the processor's kernel variant is fastest with, where the matrix is quantized; it leaves
// matrices of floats alone. The MLX engine always takes float32: with int8 or bf16 the automatic engine is
// cpu, and asking for mlx is an error (usage).
enum class Activations { automatic, int8, bf16, float32 };
Activations parse_activations(std::string_view spelling);  // "auto", "int8", "bf16", "f32"; throws usage
const char* name(Activations activations) noexcept;        // the same

}  // namespace mlxe
