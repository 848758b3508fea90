// The scalar reference of bf16_table.h: each kernel follows its formula.
#include "base/half.h"
#include "kernels/bf16_table.h"

namespace mlxe {
namespace {

void matmul(const uint16_t* x, ptrdiff_t ld_x, int64_t rows, const uint16_t* w, int64_t depth,
            const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns) {
  for (int64_t m = 0; m < rows; ++m)
    for (int64_t n = 0; n < columns; ++n) {
      float sum = from[m * ld_from + n];
      for (int64_t k = 0; k < depth; ++k)
        sum += bf16_to_float(x[m * ld_x + k]) *
               bf16_to_float(w[n / kBf16Panel * kBf16Panel * depth + bf16_index(k, n % kBf16Panel)]);
      y[m * ld_y + n] = sum;
    }
}

void decode(const CodedWeights& in, const uint8_t* table, int64_t groups, int group, uint16_t* w) {
  for (int64_t k = 0; k < groups * group; ++k)
    for (int64_t n = 0; n < kBf16Panel; ++n) {
      const int64_t at = (k / 4 * kInt8Panel + n % 16) * 4 + k % 4;  // index in the first half of the panel
      const uint8_t code = table == nullptr ? in.codes[at + n / 16 * 64]
                                            : table[in.codes[k / 4 * 64 + at % 128] >> (n / 16 * 4) & 15];
      const int64_t of_group = k / group * kInt8Panel + n;
      w[bf16_index(k, n)] = float_to_bf16(in.scales[of_group] * code + in.biases[of_group]);
    }
}

void round(const float* x, int64_t n, uint16_t* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = float_to_bf16(x[i]);
  for (int64_t i = n; i % kBf16Aligned != 0; ++i) out[i] = 0;
}

}  // namespace

const Bf16Kernels kBf16Scalar{.matmul = matmul,
                              .decode = decode,
                              .round = round,
                              .gelu_erf = nullptr,
                              .attend = nullptr,
                              .attend_bytes = nullptr,
                              .spin = nullptr,
                              .flops_per_round = 0};

}  // namespace mlxe
