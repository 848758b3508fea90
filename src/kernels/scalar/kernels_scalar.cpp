// The scalar reference of table.h: each kernel follows its formula.
#include <cmath>

#include "kernels/table.h"

namespace mlxe {
namespace {

constexpr int kPanel = 16;

void matmul(const float* x, ptrdiff_t ld_x, int64_t rows, const float* w, ptrdiff_t ld_w, int64_t k,
            const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns) {
  for (int64_t m = 0; m < rows; ++m) {
    float sum[kPanel] = {};
    for (int64_t i = 0; i < k; ++i)
      for (int n = 0; n < kPanel; ++n) sum[n] += x[m * ld_x + i] * w[i * ld_w + n];
    for (int64_t n = 0; n < columns; ++n) y[m * ld_y + n] = from[m * ld_from + n] + sum[n];
  }
}

void pack(const float* in, ptrdiff_t ld, int64_t rows, int64_t columns, float* tile) {
  for (int64_t k = 0; k < columns; ++k)
    for (int64_t n = 0; n < kPanel; ++n) tile[k * kPanel + n] = n < rows ? in[n * ld + k] : 0;
}

void add(const float* a, const float* b, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = a[i] + b[i];
}

void multiply(const float* a, const float* b, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = a[i] * b[i];
}

void add_scaled(const float* x, float factor, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] += factor * x[i];
}

void scale(const float* x, float factor, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = factor * x[i];
}

void max_into(const float* x, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i)
    if (x[i] > out[i] || x[i] != x[i]) out[i] = x[i];
}

void norm(const float* a, const float* b, const float* weight, const float* bias, float epsilon,
          bool centered, int64_t n, float* out) {
  const float* x = b == nullptr ? a : out;
  if (b != nullptr) add(a, b, n, out);
  float sum = 0, squares = 0;
  for (int64_t i = 0; i < n; ++i) sum += x[i];
  const float mean = centered ? sum / static_cast<float>(n) : 0;
  for (int64_t i = 0; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
  const float factor = 1 / std::sqrt(squares / static_cast<float>(n) + epsilon);
  for (int64_t i = 0; i < n; ++i) out[i] = (x[i] - mean) * factor * weight[i] + bias[i];
}

void softmax(float* x, float factor, int64_t n) {
  float largest = x[0], sum = 0;
  for (int64_t i = 1; i < n; ++i)
    if (x[i] > largest) largest = x[i];
  for (int64_t i = 0; i < n; ++i) sum += x[i] = std::exp(factor * (x[i] - largest));
  for (int64_t i = 0; i < n; ++i) x[i] /= sum;
}

void normalize(const float* x, int64_t n, float* out) {
  float squares = 0;
  for (int64_t i = 0; i < n; ++i) squares += x[i] * x[i];
  const float length = std::sqrt(squares);
  const float divisor = length < 1e-12f ? 1e-12f : length;
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] / divisor;
}

// Evaluates F in double, so that the float result is correctly rounded in nearly all cases.
template <double (*F)(double)>
void each(float* x, ptrdiff_t ld, int64_t rows, int64_t n) {
  for (int64_t m = 0; m < rows; ++m)
    for (float *v = x + m * ld, *end = v + n; v != end; ++v)
      *v = static_cast<float>(F(static_cast<double>(*v)));
}

double relu(double x) {
  return x < 0 ? 0 : x;
}
double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}
double silu(double x) {
  return x == -HUGE_VAL ? 0 : x * sigmoid(x);
}
double gelu_quick(double x) {
  return x == -HUGE_VAL ? 0 : x * sigmoid(1.702 * x);
}
double gelu_erf(double x) {
  return x == -HUGE_VAL ? 0 : x * 0.5 * std::erfc(-x * std::sqrt(0.5));
}
double gelu_tanh(double x) {
  // 0.5 (1 + tanh(u)) = sigmoid(2u), which is precise where tanh is near -1.
  const double u = std::sqrt(8 / M_PI) * (x + 0.044715 * x * x * x);
  return x == -HUGE_VAL ? 0 : x * sigmoid(u);
}

constexpr int64_t kSpinValues = 16;

float spin(int64_t rounds) {
  float sums[kSpinValues] = {};
  const float* const end = sums + kSpinValues;
  for (int64_t i = 0; i < rounds; ++i)
    for (float* s = sums; s != end; ++s) *s = *s * 0.5f + 1.0f;
  float total = 0;
  for (float s : sums) total += s;
  return total;
}

}  // namespace

const Kernels kKernelsScalar{
    .panel = kPanel,
    .matmul = matmul,
    .pack = pack,
    .add = add,
    .multiply = multiply,
    .add_scaled = add_scaled,
    .scale = scale,
    .max_into = max_into,
    .norm = norm,
    .softmax = softmax,
    .normalize = normalize,
    .relu = each<relu>,
    .gelu_erf = each<gelu_erf>,
    .gelu_tanh = each<gelu_tanh>,
    .gelu_quick = each<gelu_quick>,
    .silu = each<silu>,
    .tanh = each<std::tanh>,
    .sigmoid = each<sigmoid>,
    .spin = spin,
    .flops_per_round = 2 * kSpinValues,
};

}  // namespace mlxe
