// The inner loops of running an encoder with 8-bit activations, one set per instruction set.
//
// Weights are unsigned codes with a scale and a bias per row and group of columns (MLX's affine layout, and
// whatever can be written that way); activations become signed codes in [-127, 127] with a scale per token
// and group. Over a group g of `group` columns
//   y[m][n] += a_scale[m][g] * (scale[n][g] * (sum of code * a_code) + bias[n][g] * (sum of a_code))
// The two sums are integers and exact in every variant; the rest is float32. A result depends on its own row
// alone, as table.h says; a NaN or infinity in a row of activations makes that row's results not finite.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mlxe {

inline constexpr int kInt8Panel = 32;          // output columns a panel of packed weights holds
inline constexpr int64_t kInt8Alignment = 64;  // rows of activations and weights have a multiple of columns

// Rows of quantized activations. `groups` holds {scale, sum of the codes} per row and group.
struct Int8Rows {
  const int8_t* codes;  // [rows][ld], columns past the real ones are 0
  ptrdiff_t ld;         // bytes from a row to the next, a multiple of 64
  const float* groups;  // [rows][ld_groups]
  ptrdiff_t ld_groups;  // floats from a row to the next
};

// One panel: 32 output columns n, `groups` groups of k.
struct Int8Weights {
  const uint8_t* codes;  // [k / 4][32][4]: four consecutive k of a column side by side
  const float* scales;   // [groups][32]
  const float* biases;   // [groups][32]
};

// Memory that will be read after this, which a kernel may fetch while it computes.
struct ReadAhead {
  const uint8_t* from = nullptr;
  int64_t bytes = 0;
};

struct Int8Kernels {
  // y[m][n] = from[m][n] + the sum over `groups` groups of `group` (16, 32 or 64) columns, m < rows,
  // n < columns <= 32. `from` is a matrix like y (or y itself), or one row for all with ld_from = 0.
  void (*matmul)(const Int8Rows& x, int64_t rows, const Int8Weights& w, int64_t groups, int group,
                 const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns,
                 const ReadAhead& next);

  // 4-bit codes, two to a byte, to `count` bytes (a multiple of 128): of each 64 packed bytes the low halves
  // become 64 bytes, the high halves the 64 after them; each is looked up in table[16].
  void (*expand)(const uint8_t* packed, int64_t count, const uint8_t* table, uint8_t* codes);

  // One row of n activations: scale = max|x| / 127 over each group, code = rint(x / scale); a group whose
  // largest magnitude is below 1e-30 becomes zeros. Codes are written up to the next multiple of 64.
  void (*quantize)(const float* x, int64_t n, int group, int8_t* codes, float* groups);

  // As in table.h: rounds * operations_per_round independent additions and multiplications in registers, with
  // the instruction `matmul` uses. Null in the oracle.
  float (*spin)(int64_t rounds);
  int64_t operations_per_round;
};

// Whether a variant has kernels of its own here, not the oracle's plain loops.
enum class Isa;
bool has_int8_kernels(Isa isa) noexcept;
// The set of the active variant (base/cpu_features.h). Throws usage when MLXE_CPU names none.
const Int8Kernels& int8_kernels();
// The set a given variant uses; the machine must be able to run it.
const Int8Kernels& int8_kernels(Isa isa) noexcept;

extern const Int8Kernels kInt8Scalar, kInt8Avx2, kInt8AvxVnni, kInt8Avx512, kInt8Avx512Vnni, kInt8Amx;
extern const Int8Kernels kInt8Neon, kInt8NeonDotprod, kInt8NeonI8mm;

}  // namespace mlxe
