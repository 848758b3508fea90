// Choosing codes, scales and biases of a matrix by what they do to its outputs.
#pragma once

#include <span>
#include <vector>

#include "calibrate/group_fit.h"
#include "calibrate/input_hessian.h"
#include "mlx_encoder/quantize.h"

namespace mlxe {

class ThreadPool;

namespace calibrate {

// Each group on its own: fit_group() with these importances, one a column, then the nearest codes.
QuantizedMatrix round_groups(const std::vector<float>& weights, std::span<const float> importance,
                             const Scheme& scheme, ThreadPool& pool);

// Lowers the cost e H e^T of every row of `target` (input_hessian.h) in three ways, in turn:
//   compensation   columns are rounded one after another; what is left of each is made up for by those that
//                  follow: code c rounds target[c] + sum over earlier j of e[j] U[j][c] (this is GPTQ, with
//                  the factor of H itself instead of its inverse's)
//   single codes   each code moves to the best value given all others, until none moves
//   refit          all scales and biases of the row by least squares, rounded to the file's dtype; kept where
//                  the cost falls
QuantizedMatrix gptq_quantize(const std::vector<float>& target, const InputHessian& hessian,
                              const Scheme& scheme, ThreadPool& pool);

}  // namespace calibrate
}  // namespace mlxe
