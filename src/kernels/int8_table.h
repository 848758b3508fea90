// Kernels for 8-bit activations. One table per instruction set.
//
// Weights: unsigned codes with zero point 128, and a scale and a bias per row and group of columns. (MLX's
// affine layout, and every layout that can be written as affine. The bias is re-centred on code 128.)
// Activations: signed codes in [-127, 127] with a scale per token and group.
//
// For each group g of `group` columns:
//   y[m][n] += a_scale[m][g] * scale[n][g] * (sum of (code - 128) * a_code) + bias[n][g] * term[m][g]
//   term = a_scale * (sum of a_code)
//
// term and bias are bfloat16: after re-centring on code 128 the bias is small, so bfloat16 is precise
// enough. The sum of products is an integer and exact in every variant. All else is float32, in this order:
// first the bias terms of all groups, in pairs that begin with an even group, the second of a pair before
// the first; then the groups' products.
//
// A result depends only on its own row (table.h). A NaN or infinity in a row of activations makes that
// row's results not finite.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mlxe {

inline constexpr int kInt8Panel = 32;          // output columns of a panel of packed weights
inline constexpr int64_t kInt8Alignment = 64;  // rows of activations and weights are padded to this multiple

inline constexpr int kInt8ZeroPoint = 128;  // the code of a weight that equals its group's bias

// Rows of quantized activations.
struct Int8Rows {
  const int8_t* codes;  // [rows][ld], padding columns are 0
  ptrdiff_t ld;         // row stride in bytes, a multiple of 64
  // One value for each group of a row. Row stride of each array: 4 * ld_groups bytes.
  const float* scales;
  const int32_t* accumulator_start;  // -kInt8ZeroPoint * (sum of the codes)
  const uint16_t* bias_terms;        // bfloat16
  ptrdiff_t ld_groups;

  // The rows from `row` on and the columns from `k` on. `k` must be the first column of an even-numbered
  // group.
  __attribute__((always_inline)) Int8Rows at(int64_t row, int64_t k, int group) const noexcept {
    const int64_t g = row * ld_groups + k / group, term = g + row * ld_groups;
    return {codes + row * ld + k, ld, scales + g, accumulator_start + g, bias_terms + term, ld_groups};
  }
};

// Output of quantize() for the groups of a row.
struct Int8Groups {
  float* scales;
  int32_t* accumulator_start;
  uint16_t* bias_terms;

  // Advances by `n` groups.
  __attribute__((always_inline)) Int8Groups past(ptrdiff_t n) const noexcept {
    return {scales + n, accumulator_start + n, bias_terms + n};
  }
  // Advances by `4 * n` bytes in each array, for example to the next row (n = ld_groups).
  __attribute__((always_inline)) Int8Groups further(ptrdiff_t n) const noexcept {
    return {scales + n, accumulator_start + n, bias_terms + 2 * n};
  }
};

// One panel: 32 output columns n, `groups` groups of k.
struct Int8Weights {
  const uint8_t* codes;    // [k / 4][32][4]: four consecutive k of a column side by side
  const float* scales;     // [groups][32]
  const uint16_t* biases;  // [pairs of groups][32][2] bfloat16; 0 for a missing last group
};

// Memory of the next call, which a kernel may prefetch while it computes.
struct ReadAhead {
  const uint8_t* codes = nullptr;
  int64_t bytes = 0;  // of codes
  const float* scales = nullptr;
  const uint16_t* biases = nullptr;
  int64_t groups = 0;  // number of groups of scales and biases
};

struct Int8Kernels {
  // y[m][n] = from[m][n] + the sum over `groups` groups, for m < rows, n < columns <= 32.
  //   group  columns of a group: 16, 32 or 64
  //   from   a matrix like y (or y itself), or one row for all with ld_from = 0
  void (*matmul)(const Int8Rows& x, int64_t rows, const Int8Weights& w, int64_t groups, int group,
                 const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns,
                 const ReadAhead& next);

  // The same with two 4-bit codes a byte, in the order of expand(); each code means 16 times itself.
  // Fastest for few rows. Null if the variant has no faster way than expand() and matmul().
  void (*matmul_int4)(const Int8Rows& x, int64_t rows, const Int8Weights& w, int64_t groups, int group,
                      const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns,
                      const ReadAhead& next);

  // Expands 4-bit codes, two a byte, to `count` bytes (a multiple of 128). The low nibbles of each 64
  // packed bytes become 64 bytes, their high nibbles the next 64 bytes. Each nibble is looked up in
  // table[16].
  void (*expand)(const uint8_t* packed, int64_t count, const uint8_t* table, uint8_t* codes);

  // Quantizes rows of n activations. For each group:
  //   scale = max|x| / 127
  //   code  = rint(x / scale)
  // A group whose largest magnitude is below 1e-30 becomes zeros. Codes are written up to the next multiple
  // of 64. Row strides: `ld_x` floats, `ld_codes` bytes for codes, `4 * ld_groups` bytes for each group
  // array.
  void (*quantize)(const float* x, ptrdiff_t ld_x, int64_t rows, int64_t n, int group, int8_t* codes,
                   ptrdiff_t ld_codes, const Int8Groups& groups, ptrdiff_t ld_groups);

  // As in table.h: rounds * operations_per_round independent additions and multiplications in registers,
  // with the instruction of `matmul`. Null in the scalar variant.
  float (*spin)(int64_t rounds);
  int64_t operations_per_round;
};

// Whether the variant has its own kernels. If not, it uses the scalar ones.
enum class Isa;
bool has_int8_kernels(Isa isa) noexcept;
// The kernels of the active variant (base/cpu_features.h). Throws usage if MLXE_CPU names no variant.
const Int8Kernels& int8_kernels();
// The kernels of a given variant. The machine must be able to run the variant.
const Int8Kernels& int8_kernels(Isa isa) noexcept;

extern const Int8Kernels kInt8Scalar, kInt8Avx2, kInt8AvxVnni, kInt8Avx512, kInt8Avx512Vnni, kInt8Avx512Bf16,
    kInt8Amx;
extern const Int8Kernels kInt8Neon, kInt8NeonDotprod, kInt8NeonI8mm;

}  // namespace mlxe
