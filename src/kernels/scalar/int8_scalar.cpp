// The scalar reference of int8_table.h: each kernel follows its formula.
#include <cmath>

#include "kernels/generic/to_bf16.h"
#include "kernels/int8_table.h"

namespace mlxe {
namespace {

void matmul(const Int8Rows& x, int64_t rows, const Int8Weights& w, int64_t groups, int group,
            const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns,
            const ReadAhead&) {
  for (int64_t m = 0; m < rows; ++m)
    for (int64_t n = 0; n < columns; ++n) {
      float total = 0;
      for (int64_t g = 0; g < groups; ++g)
        total += bf16_to_float(x.bias_terms[m * 2 * x.ld_groups + g]) *
                 bf16_to_float(w.biases[(g / 2 * kInt8Panel + n) * 2 + g % 2]);
      for (int64_t g = 0; g < groups; ++g) {
        int32_t dot = x.accumulator_start[m * x.ld_groups + g];
        for (int64_t k = g * group; k < (g + 1) * group; ++k)
          dot += w.codes[(k / 4 * kInt8Panel + n) * 4 + k % 4] * x.codes[m * x.ld + k];
        total += x.scales[m * x.ld_groups + g] * w.scales[g * kInt8Panel + n] * static_cast<float>(dot);
      }
      y[m * ld_y + n] = from[m * ld_from + n] + total;
    }
}

void expand(const uint8_t* packed, int64_t count, const uint8_t* table, uint8_t* codes) {
  for (int64_t i = 0; i < count / 2; ++i) {
    const int64_t at = i / 64 * 128 + i % 64;
    codes[at] = table[packed[i] & 15];
    codes[at + 64] = table[packed[i] >> 4];
  }
}

void quantize_row(const float* x, int64_t n, int group, int8_t* codes, const Int8Groups& groups) {
  const int64_t padded = (n + kInt8Alignment - 1) / kInt8Alignment * kInt8Alignment;
  for (int64_t first = 0, g = 0; first < padded; first += group, ++g) {
    float largest = 0, sum = 0;
    for (int64_t i = first; i < first + group && i < n; ++i)
      if (std::fabs(x[i]) > largest || x[i] != x[i]) largest = std::fabs(x[i]);
    // A NaN fails every comparison: its group gets codes 0 and a NaN scale.
    const float inverse = largest > 1e-30f ? 127 / largest : 0;
    for (int64_t i = first; i < first + group; ++i) {
      const float code = i < n && inverse > 0 ? std::rint(x[i] * inverse) : 0;
      codes[i] = static_cast<int8_t>(code);
      sum += code;
    }
    groups.scales[g] = largest < 1e-30f ? 0 : largest / 127;
    groups.accumulator_start[g] = -kInt8ZeroPoint * static_cast<int32_t>(sum);
    groups.bias_terms[g] = sum == 0 ? 0 : float_to_bf16(groups.scales[g] * sum);
  }
}

void quantize(const float* x, ptrdiff_t ld_x, int64_t rows, int64_t n, int group, int8_t* codes,
              ptrdiff_t ld_codes, const Int8Groups& groups, ptrdiff_t ld_groups) {
  for (int64_t m = 0; m < rows; ++m)
    quantize_row(x + m * ld_x, n, group, codes + m * ld_codes, groups.further(m * ld_groups));
}

}  // namespace

const Int8Kernels kInt8Scalar{.matmul = matmul,
                              .matmul_int4 = nullptr,
                              .expand = expand,
                              .quantize = quantize,
                              .spin = nullptr,
                              .operations_per_round = 0};

}  // namespace mlxe
