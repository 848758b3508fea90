// The two-sample Kolmogorov-Smirnov test: whether two samples come from one distribution.
#pragma once

#include <span>

namespace mlxe {

struct KolmogorovSmirnov {
  double statistic = 0;  // D: the largest distance between the two empirical distribution functions
  double p = 1;          // of a D this large or larger if both came from one distribution (two-sided, exact)
};

// For two samples of the same size n >= 1, in any order. The p-value is exact for every n (Gnedenko and Korolyuk),
// with D = h / n: 2 * sum over k >= 1 of (-1)^(k-1) C(2n, n - kh) / C(2n, n). Errors: usage (sizes), numeric (NaN).
KolmogorovSmirnov kolmogorov_smirnov(std::span<const double> a, std::span<const double> b);

}  // namespace mlxe
