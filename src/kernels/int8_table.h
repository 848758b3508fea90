// The inner loops of running an encoder with 8-bit activations, one set per instruction set.
//
// Weights are codes around 128 with a scale and a bias per row and group of columns (MLX's affine layout and
// whatever can be written that way, its bias moved to the middle code); activations become signed codes in
// [-127, 127] with a scale per token and group. Over a group g of `group` columns
//   y[m][n] += a_scale[m][g] * scale[n][g] * (sum of (code - 128) * a_code) + bias[n][g] * term[m][g]
// where term = a_scale * (sum of a_code). term and bias are bfloat16: after re-centring on code 128 the bias
// is small, so bfloat16 is precise enough. The sum of products is an integer and exact in every variant. The
// rest is float32: first the bias terms of all groups, in pairs that begin with an even group, the second of
// a pair before the first; then the groups' products. A result depends only on its own row (table.h). A NaN
// or infinity in a row of activations makes that row's results not finite.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mlxe {

inline constexpr int kInt8Panel = 32;          // output columns a panel of packed weights holds
inline constexpr int64_t kInt8Alignment = 64;  // rows of activations and weights have a multiple of columns

inline constexpr int kInt8ZeroPoint = 128;  // the code of a weight that equals its group's bias

// Rows of quantized activations.
struct Int8Rows {
  const int8_t* codes;  // [rows][ld], columns past the real ones are 0
  ptrdiff_t ld;         // bytes from a row to the next, a multiple of 64
  // Of each group of a row; from a row to the next are `ld_groups` times four bytes.
  const float* scales;
  const int32_t* starts;  // -kInt8ZeroPoint * (sum of the codes): where a sum over unsigned codes begins
  const uint16_t* terms;  // bfloat16
  ptrdiff_t ld_groups;

  // The rows from `row` on, columns from `k` on, the first of an even-numbered group.
  __attribute__((always_inline)) Int8Rows at(int64_t row, int64_t k, int group) const noexcept {
    const int64_t g = row * ld_groups + k / group;
    return {codes + row * ld + k, ld, scales + g, starts + g, terms + g + row * ld_groups, ld_groups};
  }
};

// Where quantize() puts what it knows of its row's groups.
struct Int8Groups {
  float* scales;
  int32_t* starts;
  uint16_t* terms;

  // From the group `n` further on, whatever lies between.
  __attribute__((always_inline)) Int8Groups past(ptrdiff_t n) const noexcept {
    return {scales + n, starts + n, terms + n};
  }
  // Of the row that is `n` times four bytes further on.
  __attribute__((always_inline)) Int8Groups further(ptrdiff_t n) const noexcept {
    return {scales + n, starts + n, terms + 2 * n};
  }
};

// One panel: 32 output columns n, `groups` groups of k.
struct Int8Weights {
  const uint8_t* codes;    // [k / 4][32][4]: four consecutive k of a column side by side
  const float* scales;     // [groups][32]
  const uint16_t* biases;  // [pairs of groups][32][2] bfloat16; 0 for a group that is not there
};

// Memory that will be read after this, which a kernel may fetch while it computes: so many bytes of codes,
// and what belongs to so many groups of them.
struct ReadAhead {
  const uint8_t* codes = nullptr;
  int64_t bytes = 0;
  const float* scales = nullptr;
  const uint16_t* biases = nullptr;
  int64_t groups = 0;
};

struct Int8Kernels {
  // y[m][n] = from[m][n] + the sum over `groups` groups of `group` (16, 32 or 64) columns, m < rows,
  // n < columns <= 32. `from` is a matrix like y (or y itself), or one row for all with ld_from = 0.
  void (*matmul)(const Int8Rows& x, int64_t rows, const Int8Weights& w, int64_t groups, int group,
                 const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns,
                 const ReadAhead& next);

  // The same with codes two to a byte, as expand() takes them, each of which stands for 16 times itself. Best
  // for few rows; null where the variant has nothing better than to expand them.
  void (*matmul_int4)(const Int8Rows& x, int64_t rows, const Int8Weights& w, int64_t groups, int group,
                      const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns,
                      const ReadAhead& next);

  // 4-bit codes, two to a byte, to `count` bytes (a multiple of 128): of each 64 packed bytes the low nibbles
  // become 64 bytes, the high nibbles the 64 after them; each is looked up in table[16].
  void (*expand)(const uint8_t* packed, int64_t count, const uint8_t* table, uint8_t* codes);

  // Quantizes rows of n activations, `ld_x` floats apart. Over each group scale = max|x| / 127 and
  // code = rint(x / scale). A group whose largest magnitude is below 1e-30 becomes zeros. Codes are written up to the next
  // multiple of 64. Row strides: `ld_codes` bytes for codes, `4 * ld_groups` bytes for each group array.
  void (*quantize)(const float* x, ptrdiff_t ld_x, int64_t rows, int64_t n, int group, int8_t* codes,
                   ptrdiff_t ld_codes, const Int8Groups& groups, ptrdiff_t ld_groups);

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

extern const Int8Kernels kInt8Scalar, kInt8Avx2, kInt8AvxVnni, kInt8Avx512, kInt8Avx512Vnni, kInt8Avx512Bf16,
    kInt8Amx;
extern const Int8Kernels kInt8Neon, kInt8NeonDotprod, kInt8NeonI8mm;

}  // namespace mlxe
