// The limits that follow from the number of bits stored. docs/gates.md describes them for users.
#pragma once

#include <cstdint>

#include "format/stored_weight.h"
#include "mlx_encoder/gate.h"

namespace mlxe {

// The limit of the mean cosine for codes of `bits`: 1 - 0.005 * 2^((8 - bits) / 2), the curve through 0.995 at 8 bits
// and 0.98 at 4 bits. It is 0.990 at 6, 0.986 at 5, 0.972 at 3, 0.960 at 2. Above 8 bits (16-bit floats): 0.999.
double cosine_limit(double bits);

// The limit of the relative error (VectorSpace) that belongs to a limit of the cosine: 1 - cosine. Both limits are the
// same for a model whose vectors of different texts have a mean cosine of 0.
double relative_error_limit(double cosine_limit);

// The limit of the share of nearest neighbours kept at that relative error: 1 - 0.9 sqrt(error). The error is the square
// of a relative distance. The share of neighbours lost is proportional to that distance: 0.7 to 1.0 times it, as
// measured (docs/notes/gates.md).
double neighbours_limit(double relative_error);

// Number of different texts from which on these are default gates. The distances between few texts depend more on the
// texts than on the model. With 101 texts k is 10, and a lost neighbour changes the share by at most 0.001.
inline constexpr int64_t kTextsForRelativeError = 24, kTextsForNeighbours = 101;

// Computes the limit of a conversion with several schemes: 1 - limit is the mean of 1 - cosine_limit over the quantized
// values. (Rounding errors are independent, so their squares add up, and 1 - cosine is proportional to the squares.)
// Matrices left as floats do not count.
class ExpectedCosine {
 public:
  void add(const StoredWeight& matrix);  // vectors (norms, biases) are ignored
  double limit() const;
  double bits() const;  // mean bits of the codes; 16 if nothing is quantized

 private:
  double quantized_ = 0, loss_ = 0, bits_ = 0;
};

// `limits` with the unset ones filled in: `cosine`, and the limits that follow from it.
GateLimits with_defaults(GateLimits limits, double cosine);

}  // namespace mlxe
