// Kernels for float32 activations. One table per instruction set.
//
// Rows are `float` and need no alignment. A stride ("ld...") is the distance of two rows in elements.
// Matrices have M rows and N columns; K is the summed dimension.
//
// Guarantees of every variant:
//  - An output depends only on its own row and the weights: not on the number of rows in a call, their place
//    in memory, or their tile. The same text therefore gives the same bits in any batch.
//  - A NaN in the inputs of an output makes that output NaN. No clamp hides it.
//  - Only the order of sums, and the last bits of exp, erf and tanh, differ from the scalar variant.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mlxe {

// Works in place on n values of each row.
using ActivationKernel = void (*)(float* x, ptrdiff_t ld, int64_t rows, int64_t n);

struct Kernels {
  // ---- matrices
  // Output columns of a weight tile. A tile is [K][panel]: each k has `panel` consecutive values.
  int panel;

  // y[m][n] = from[m][n] + sum over k, in order, of x[m][k] * w[k][n], for m < rows, n < columns <= panel.
  //   w     [k][ld_w]; `panel` columns are read
  //   from  a matrix like y (or y itself), or one row for all (a bias, zeros) with ld_from = 0
  void (*matmul)(const float* x, ptrdiff_t ld_x, int64_t rows, const float* w, ptrdiff_t ld_w, int64_t k,
                 const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns);

  // Makes a tile of weight rows: tile[k][n] = in[n][k] for k < columns, n < rows <= panel; zeros for n from
  // rows on.
  void (*pack)(const float* in, ptrdiff_t ld, int64_t rows, int64_t columns, float* tile);

  // ---- rows
  void (*add)(const float* a, const float* b, int64_t n, float* out);       // out = a + b; out may be a or b
  void (*multiply)(const float* a, const float* b, int64_t n, float* out);  // out = a * b; out may be a or b
  void (*add_scaled)(const float* x, float factor, int64_t n, float* out);  // out += factor * x
  void (*scale)(const float* x, float factor, int64_t n, float* out);       // out = factor * x
  void (*max_into)(const float* x, int64_t n, float* out);                  // out = max(out, x)

  // out = (x - mean) / sqrt(variance + epsilon) * weight + bias
  //   x         a + b, or a if b is null; out may be a or b
  //   mean      of x; 0 for an RMS norm, which is not `centered`
  //   variance  the mean of (x - mean)^2 over n values, in a second pass
  void (*norm)(const float* a, const float* b, const float* weight, const float* bias, float epsilon,
               bool centered, int64_t n, float* out);
  // x = exp(factor * (x - max)) / sum
  void (*softmax)(float* x, float factor, int64_t n);
  // out = x / max(|x|, 1e-12), |x| the Euclidean length; out may be x
  void (*normalize)(const float* x, int64_t n, float* out);

  // ---- non-linearities (models/activation.h has the formulas)
  ActivationKernel relu, gelu_erf, gelu_tanh, gelu_quick, silu, tanh, sigmoid;

  // ---- the machine

  // Computes rounds * flops_per_round independent operations (a multiply-add counts as two) in registers, to
  // measure the peak. The result only keeps the compiler from removing the work.
  float (*spin)(int64_t rounds);
  int64_t flops_per_round;
};

// The kernels of the active variant (base/cpu_features.h). Throws usage if MLXE_CPU names no variant.
const Kernels& kernels();
// The kernels of a given variant. The machine must be able to run the variant.
enum class Isa;
const Kernels& kernels(Isa isa) noexcept;

extern const Kernels kKernelsScalar;
extern const Kernels kKernelsSse2, kKernelsAvx2, kKernelsAvx512;
extern const Kernels kKernelsNeon;

}  // namespace mlxe
