// The inner loops of running an encoder in float32, one set per instruction set.
//
// Rows are `float` and need no alignment; a stride ("ld...") is the distance of two rows in elements. M rows,
// N columns, K summed.
//
// Guarantees of every variant
//  - An output depends only on its own row and the weights: not on how many rows a call has, where they lie
//    in memory, or which tile they fall into. The same text therefore gives the same bits in any batch.
//  - A NaN in what an output is computed from makes that output NaN; nothing is clamped into looking finite.
//  - Against the scalar set, only the order of a sum and the last bits of exp, erf and tanh differ.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mlxe {

// In place over n values of each row.
using ActivationKernel = void (*)(float* x, ptrdiff_t ld, int64_t rows, int64_t n);

struct Kernels {
  // ---- matrices
  // Columns of a weight tile: a tile holds [K][panel], so that one k needs `panel` consecutive values.
  int panel;

  // y[m][n] = from[m][n] + sum over k, in order, of x[m][k] * w[k][n], for m < rows, n < columns <= panel.
  //   w     [k][ld_w], columns up to `panel` are read
  //   from  a matrix like y (or y itself), or one row for all (a bias, zeros) with ld_from = 0
  void (*matmul)(const float* x, ptrdiff_t ld_x, int64_t rows, const float* w, ptrdiff_t ld_w, int64_t k,
                 const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns);

  // A tile from weight rows: tile[k][n] = in[n][k], k < columns; n < rows <= panel, zero up to `panel`.
  void (*pack)(const float* in, ptrdiff_t ld, int64_t rows, int64_t columns, float* tile);

  // ---- rows
  void (*add)(const float* a, const float* b, int64_t n, float* out);       // out = a + b; out may be a or b
  void (*multiply)(const float* a, const float* b, int64_t n, float* out);  // out = a * b; out may be a or b
  void (*add_scaled)(const float* x, float factor, int64_t n, float* out);  // out += factor * x
  void (*scale)(const float* x, float factor, int64_t n, float* out);       // out = factor * x
  void (*max_into)(const float* x, int64_t n, float* out);                  // out = max(out, x)

  // out = (x - mean) / sqrt(variance + epsilon) * weight + bias, the variance taken over n, around the mean
  // (two passes), where x = a + b, or a where b is null. out may be a or b.
  void (*layer_norm)(const float* a, const float* b, const float* weight, const float* bias, float epsilon,
                     int64_t n, float* out);
  // x = exp(factor * (x - max)) / sum
  void (*softmax)(float* x, float factor, int64_t n);
  // out = x / max(|x|, 1e-12), the Euclidean length; out may be x
  void (*normalize)(const float* x, int64_t n, float* out);

  // ---- non-linearities (models/activation.h has the formulas)
  ActivationKernel relu, gelu_erf, gelu_tanh, gelu_quick, silu, tanh, sigmoid;

  // ---- the machine
  // Does rounds * flops_per_round independent multiply-adds' worth of operations in registers; the result
  // only keeps the compiler from dropping them.
  float (*spin)(int64_t rounds);
  int64_t flops_per_round;
};

// The set of the active variant (base/cpu_features.h). Throws usage when MLXE_CPU names none.
const Kernels& kernels();
// The set a given variant uses; the machine must be able to run it.
enum class Isa;
const Kernels& kernels(Isa isa) noexcept;

extern const Kernels kKernelsScalar;
extern const Kernels kKernelsSse2, kKernelsAvx2, kKernelsAvx512;
extern const Kernels kKernelsNeon;

}  // namespace mlxe
