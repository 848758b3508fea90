// The limits that follow from how many bits a conversion stores. docs/gates.md is this for users.
#pragma once

#include <cstdint>

#include "format/stored_weight.h"
#include "mlx_encoder/gate.h"

namespace mlxe {

// The mean cosine a conversion to codes of `bits` should keep: 0.995 at 8 bits and 0.98 at 4, and between and
// below them 1 - 0.005 * 2^((8 - bits) / 2), the curve through both: 0.990 at 6, 0.986 at 5, 0.972 at 3,
// 0.960 at 2. Above 8 bits (16-bit floats): 0.999.
double cosine_limit(double bits);

// The largest relative error (VectorSpace) beside a limit of the cosine: 1 - cosine. Of a model whose vectors
// of different texts are unrelated, with a mean cosine of 0, the two are the same limit.
double relative_error_limit(double cosine_limit);

// The share of nearest neighbours a conversion of that relative error should keep: 1 - 0.9 sqrt(error). The
// error is the square of how far vectors move over how far they lie from one another, and the share of
// neighbours that is lost grows as the distance moved: 0.7 to 1.0 times it as measured (docs/gates.md).
double neighbours_limit(double relative_error);

// Different texts from which on these are default gates. How far a few texts lie apart says more of the texts
// than of the model; and of 101, k is 10, so that a neighbour lost moves the share by a thousandth.
inline constexpr int64_t kTextsForRelativeError = 24, kTextsForNeighbours = 101;

// Gathers what the matrices of a conversion are stored in, and gives the limit for the whole: the average of
// (1 - cosine_limit) over the values that were quantized. Rounding errors are independent, so their squares,
// which 1 - cosine is proportional to, add up. Matrices left as floats don't raise the limit of the others.
class ExpectedCosine {
 public:
  void add(const StoredWeight& matrix);  // vectors (norms, biases) are passed over
  double limit() const;
  double bits() const;  // mean bits of the codes; 16 where nothing is quantized

 private:
  double quantized_ = 0, loss_ = 0, bits_ = 0;
};

// `limits` with what it leaves out: `cosine`, and what follows from the limit of the cosine.
GateLimits with_defaults(GateLimits limits, double cosine);

}  // namespace mlxe
