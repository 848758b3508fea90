// The inner loops of running an encoder with bfloat16 activations, and what runs at that precision elsewhere:
// one set per instruction set.
//
// Weights and activations are rounded to bfloat16, sums are float32. A result depends on its own row alone,
// as table.h says; a NaN in a row of activations makes that row's results NaN.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/int8_table.h"

namespace mlxe {

inline constexpr int kBf16Panel = 32;        // output columns a panel of weights holds
inline constexpr int64_t kBf16Depth = 32;    // columns k of a block of it
inline constexpr int64_t kBf16Aligned = 64;  // rows of activations and weights have a multiple of columns

// Where a panel has the weight of column k and output n (< 32): for each 32 k and 16 n, a tile of 16 pairs of
// k, pair by pair, the two of a pair side by side.
inline constexpr int64_t bf16_index(int64_t k, int64_t n) {
  return k / kBf16Depth * kBf16Depth * kBf16Panel + n / 16 * 512 + k % kBf16Depth / 2 * 32 + n % 16 * 2 +
         k % 2;
}

// One head of one text: out = softmax(factor * queries keys^T) values. Rows are `ld` floats apart.
struct Attention {
  const float *queries, *keys, *values;  // [count][size], [tokens][size] twice
  ptrdiff_t ld;
  int64_t count, tokens, size;
  float factor;
  float* out;  // [count][size]
  ptrdiff_t ld_out;
};

// One panel of codes as int8_table.h has them, to be decoded: a weight is scale * code + bias.
struct CodedWeights {
  const uint8_t* codes;
  const float* scales;  // [groups][32]
  const float* biases;  // [groups][32]
};

struct Bf16Kernels {
  // y[m][n] = from[m][n] + the sum, in order, over k < depth (a multiple of 32) of x[m][k] * w[k][n], m <
  // rows, n < columns. `w` has the panels of `depth` columns k one after another. `from` is a matrix like y
  // (or y itself), or one row for all with ld_from = 0.
  void (*matmul)(const uint16_t* x, ptrdiff_t ld_x, int64_t rows, const uint16_t* w, int64_t depth,
                 const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns);

  // A panel of bfloat16 from a panel of codes as int8_table.h describes it (bytes), or with two codes to a
  // byte as its expand() takes them, each then looked up in table[16]; `table` is null for bytes.
  void (*decode)(const CodedWeights& codes, const uint8_t* table, int64_t groups, int group, uint16_t* w);

  // n floats to the nearest bfloat16, zeros up to the next multiple of 64.
  void (*round)(const float* x, int64_t n, uint16_t* out);

  // Below, null where the variant has nothing better than the kernels of table.h.

  // x Phi(x) within 1e-6, in place over n values of each row: what is rounded next needs no more.
  void (*gelu_erf)(float* x, ptrdiff_t ld, int64_t rows, int64_t n);
  // Attention with products of bfloat16 and float32 sums, for sizes that are multiples of 32. `scratch` is
  // 64-byte aligned and has attend_bytes(tokens, size) bytes.
  void (*attend)(const Attention& head, uint8_t* scratch);
  int64_t (*attend_bytes)(int64_t tokens, int64_t size);
  // As in table.h, with products of bfloat16.
  float (*spin)(int64_t rounds);
  int64_t flops_per_round;
};

// Whether a variant has kernels of its own here, not the oracle's plain loops.
bool has_bf16_kernels(Isa isa) noexcept;
// The set of the active variant (base/cpu_features.h). Throws usage when MLXE_CPU names none.
const Bf16Kernels& bf16_kernels();
// The set a given variant uses; the machine must be able to run it.
const Bf16Kernels& bf16_kernels(Isa isa) noexcept;

extern const Bf16Kernels kBf16Scalar, kBf16Avx2, kBf16Avx512, kBf16Avx512Bf16, kBf16Amx, kBf16Neon;

}  // namespace mlxe
