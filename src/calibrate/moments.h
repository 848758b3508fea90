// Means and covariance of a linear's inputs over the tokens of the calibration texts.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace mlxe {

class ThreadPool;
namespace cpu {
class Tensor;
}

namespace calibrate {

// The target d, whose covariance with a linear's inputs x is also computed.
enum class Target {
  inputs,  // d = x0 - x: the original's inputs minus the changed model's
  outputs,  // d = (W x0 + b + r0) - r, for a linear whose outputs are added to a value r: the outputs for which the
            // sum is the original's
};

// x: inputs computed by the already quantized layers before; d: see Target. E[] is a weighted mean over tokens.
// Matrices are row-major with `columns` columns, and readable for one tile past the end, as kernels require.
struct Moments {
  int64_t columns = 0, tokens = 0;
  Target target = Target::inputs;
  std::vector<double> mean, target_mean;  // of x, d
  std::vector<float> covariance;          // E[(x - mean) (x - mean)^T]
  std::vector<float> cross;               // E[(d - target_mean) (x - mean)^T]
};

// Sums blocks in an order that does not depend on the number of threads. Centred factors are rounded to bfloat16.
// This adds noise of 2^-9 of a value, which averages out, and takes a fraction of the time.
class MomentSums {
 public:
  // `outputs`: values of d for each token (Target::outputs). 0: Target::inputs, as many as columns.
  MomentSums(int64_t columns, int64_t outputs, ThreadPool& pool);

  // d = d0 - d1. May be called again for more rows. `weights`: how much each row counts, not negative.
  void add(const cpu::Tensor& x, const cpu::Tensor& d0, const cpu::Tensor& d1,
           std::span<const float> weights);
  Target target() const noexcept { return target_; }
  // Errors: numeric (an input is NaN, or its square overflows).
  Moments finish();

 private:
  // A left factor: its sum, and its products with x.
  struct Sums {
    std::vector<double> sum;
    std::vector<float> pivot;  // near the mean, to avoid cancellation
    std::vector<float> products;
  };
  enum class Form { full, symmetric };
  template <class Value>
  void add_factor(Sums& sums, int64_t count, std::span<const float> weights, Form form, Value&& value);
  void add_products(int64_t rows, int64_t depth, Form form, std::vector<float>& sums);
  void centre(Sums& sums) const;

  ThreadPool& pool_;
  int64_t columns_, tokens_ = 0;
  Target target_;
  double weight_ = 0;
  Sums x_, d_;
  std::vector<uint16_t> left_;   // bfloat16, [columns, kBlock]
  std::vector<uint16_t> right_;  // x, in panels of kBf16Panel columns (kernels/bf16_table.h)
};

}  // namespace calibrate
}  // namespace mlxe
