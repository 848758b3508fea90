// The two-sample Kolmogorov-Smirnov test: do two samples come from one distribution?
#pragma once

#include <span>

namespace mlxe {

struct KolmogorovSmirnov {
  double statistic = 0;  // D: the largest distance between the two empirical distribution functions
  double p = 1;          // of a D this large or larger if both came from one distribution (two-sided, exact)
};

// Of two samples of the same size n >= 1, in any order. With D = h / n the p-value is Gnedenko and Korolyuk's
// exact one for every n, 2 * sum over k >= 1 of (-1)^(k-1) C(2n, n - kh) / C(2n, n): an asymptotic form is
// needed for unequal sizes only. Errors: usage (sizes), numeric (a value is not a number).
KolmogorovSmirnov kolmogorov_smirnov(std::span<const double> a, std::span<const double> b);

}  // namespace mlxe
