// Kernels for bfloat16 activations, and other kernels with bfloat16 precision. One table per instruction set.
//
// Weights and activations are rounded to bfloat16; sums are float32. As in table.h, a result depends only
// on its own row. A NaN in a row of activations makes that row's results NaN.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/int8_table.h"

namespace mlxe {

inline constexpr int kBf16Panel = 32;        // output columns of a panel of weights
inline constexpr int64_t kBf16Depth = 32;    // columns k of one block of a panel
inline constexpr int64_t kBf16Aligned = 64;  // rows of activations and weights are padded to this multiple

// Index, within a panel, of the weight of column k and output n (< 32). A panel consists of tiles of 32 k
// and 16 n. A tile holds 16 pairs of k one after another, the two weights of a pair side by side: [k /
// 2][n][k % 2].
inline constexpr int64_t bf16_index(int64_t k, int64_t n) {
  return k / kBf16Depth * kBf16Depth * kBf16Panel + n / 16 * 512 + k % kBf16Depth / 2 * 32 + n % 16 * 2 +
         k % 2;
}

// One head of one text: out = softmax(factor * queries keys^T + biases + terms_factor * terms) values. Rows are `ld` floats
// apart.
struct Attention {
  const float *queries, *keys, *values;  // [count][size], [tokens][size] twice
  ptrdiff_t ld;
  int64_t count, tokens, size;
  float factor;
  float* out;  // [count][size]
  ptrdiff_t ld_out;
  float slope = 0;               // the bias of query i and key j is -slope * |i - j|
  const float* terms = nullptr;  // [count][tokens], rows `ld_terms` floats apart; null: none
  ptrdiff_t ld_terms = 0;
  float terms_factor = 1;
};

// One panel of codes in the layout of int8_table.h, to be decoded: weight = scale * code + bias.
struct CodedWeights {
  const uint8_t* codes;
  const float* scales;  // [groups][32]
  const float* biases;  // [groups][32]
};

struct Bf16Kernels {
  // y[m][n] = from[m][n] + sum over k < depth, in order, of x[m][k] * w[k][n], for m < rows, n < columns.
  //   depth  a multiple of 32
  //   w      panels of `depth` columns k, one after another
  //   from   a matrix like y (or y itself), or one row for all with ld_from = 0
  void (*matmul)(const uint16_t* x, ptrdiff_t ld_x, int64_t rows, const uint16_t* w, int64_t depth,
                 const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns);

  // Decodes a panel of codes to a panel of bfloat16. `table` null: one code a byte, as in int8_table.h.
  // Else two 4-bit codes a byte, as for Int8Kernels::expand(), each looked up in table[16].
  void (*decode)(const CodedWeights& codes, const uint8_t* table, int64_t groups, int group, uint16_t* w);

  // Rounds n floats to the nearest bfloat16, and writes zeros up to the next multiple of 64.
  void (*round)(const float* x, int64_t n, uint16_t* out);

  // The kernels below are null if the variant has none faster than those of table.h.

  // GELU, x Phi(x), within 1e-6, in place over n values of each row. Precise enough if the result is
  // rounded next.
  void (*gelu_erf)(float* x, ptrdiff_t ld, int64_t rows, int64_t n);
  // Attention with products of bfloat16 and float32 sums, for sizes that are multiples of 32. `scratch` is
  // 64-byte aligned and has attend_bytes(tokens, size) bytes.
  void (*attend)(const Attention& head, uint8_t* scratch);
  int64_t (*attend_bytes)(int64_t tokens, int64_t size);
  // As in table.h, with bfloat16 products.
  float (*spin)(int64_t rounds);
  int64_t flops_per_round;
};

// Whether the variant has its own kernels. If not, it uses the scalar ones.
bool has_bf16_kernels(Isa isa) noexcept;
// The kernels of the active variant (base/cpu_features.h). Throws usage if MLXE_CPU names no variant.
const Bf16Kernels& bf16_kernels();
// The kernels of a given variant. The machine must be able to run the variant.
const Bf16Kernels& bf16_kernels(Isa isa) noexcept;

extern const Bf16Kernels kBf16Scalar, kBf16Avx2, kBf16Avx512, kBf16Avx512Bf16, kBf16Amx, kBf16Neon;

}  // namespace mlxe
