// Means and covariance of what flows into a linear, gathered over the tokens of the calibration texts.
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

// What drifts from the original: the inputs of linears, or, where it is known what a linear's outputs are
// added to, the sum.
enum class DriftOf { inputs, outputs };

// x: inputs as the already quantized layers before make them; d: what the original has more than the changed
// model, of inputs x0 - x, or of outputs (W x0 + r0) - (W x + r) with the original's W. E[] is a weighted
// mean over tokens. Matrices are row-major with `columns` columns and have room behind them for a kernel to
// read a tile's width past the end.
struct Moments {
  int64_t columns = 0, tokens = 0;
  DriftOf drift_of = DriftOf::inputs;
  std::vector<double> mean, drift_mean;  // of x, d
  std::vector<float> covariance;         // E[(x - mean) (x - mean)^T]
  std::vector<float> drift;              // E[(d - drift_mean) (x - mean)^T]
};

// Rows of the same tokens in the original and the changed model.
struct PartView {
  const cpu::Tensor &original, &changed;
};

// Sums block after block in an order that does not depend on the threads. Factors are rounded to bfloat16
// once they are centred: that adds 2^-9 of a value as noise which averages out, and takes a fraction of the
// time.
class MomentSums {
 public:
  // Of x, and of what drifts: `outputs` values a token; 0: the inputs do.
  MomentSums(int64_t columns, int64_t outputs, ThreadPool& pool);

  // May be called again for more rows. `weights`: how much each row counts, not negative.
  void add(const cpu::Tensor& x, const PartView& drifting, std::span<const float> weights);
  // Errors: numeric, where an input was NaN or too large to square.
  Moments finish();

 private:
  // One of the left factors: what it sums, and the products with x.
  struct Sums {
    std::vector<double> sum;
    std::vector<float> pivot;  // near the mean, so that little cancels
    std::vector<float> products;
  };
  enum class Form { full, symmetric };
  template <class Value>
  void add_factor(Sums& sums, int64_t count, std::span<const float> weights, Form form, Value&& value);
  void add_products(int64_t rows, int64_t depth, Form form, std::vector<float>& sums);
  void centre(Sums& sums) const;

  ThreadPool& pool_;
  int64_t columns_, tokens_ = 0;
  DriftOf drift_of_;
  double weight_ = 0;
  Sums x_, drift_;
  std::vector<uint16_t> left_;   // bfloat16, [columns, kBlock]
  std::vector<uint16_t> right_;  // x, in panels of kBf16Panel columns (kernels/bf16_table.h)
};

}  // namespace calibrate
}  // namespace mlxe
