// Chooses codes, scales and biases of a matrix for a small error of its outputs.
#pragma once

#include <span>
#include <vector>

#include "calibrate/group_fit.h"
#include "calibrate/input_hessian.h"
#include "mlx_encoder/quantize.h"

namespace mlxe {

class ThreadPool;

namespace calibrate {

// Rounds each group on its own: fit_group() with the importance of each column, then the nearest codes.
QuantizedMatrix round_groups(const std::vector<float>& weights, std::span<const float> importance,
                             const Scheme& scheme, ThreadPool& pool);

// Lowers the cost e H e^T of every row of `target` (input_hessian.h) in three steps:
//   GPTQ                columns are rounded one after another. The error of each is compensated in the columns not
//                       yet rounded: code c rounds target[c] + sum over earlier j of e[j] U[j][c]. (U is a factor of
//                       H itself; the published algorithm factorizes the inverse of H.)
//   coordinate descent  each code moves to the best value given all others, until none moves
//   refit               all scales and biases of the row by least squares, rounded to the file's dtype; used if the
//                       cost falls
QuantizedMatrix gptq_quantize(const std::vector<float>& target, const InputHessian& hessian,
                              const Scheme& scheme, ThreadPool& pool);

}  // namespace calibrate
}  // namespace mlxe
