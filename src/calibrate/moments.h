// Means and covariance of what flows into a linear, gathered over the tokens of the calibration texts.
#pragma once

#include <cstdint>
#include <vector>

namespace mlxe {

class ThreadPool;
namespace cpu {
class Tensor;
}

namespace calibrate {

// x: inputs as the already quantized layers before make them; x0: as the original ones do. Square matrices
// are row-major [columns, columns], with room behind them for a kernel to read a tile's width past the end.
struct Moments {
  int64_t columns = 0, tokens = 0;
  std::vector<double> mean, original_mean;  // of x, x0
  std::vector<float> covariance;            // E[(x - mean) (x - mean)^T]
  std::vector<float> drift;                 // E[(x0 - original_mean - (x - mean)) (x - mean)^T]
};

// Sums block after block in an order that does not depend on the threads.
class MomentSums {
 public:
  MomentSums(int64_t columns, ThreadPool& pool);

  // The same rows of both; may be called again for more of them.
  void add(const cpu::Tensor& original, const cpu::Tensor& x);
  // Errors: numeric, where an input was NaN or too large to square.
  Moments finish();

 private:
  // sums += (a - pivot)^T x over a block's rows, `transposed` holding a - pivot by columns. Symmetric: only
  // the tiles that reach the diagonal or lie right of it.
  enum class Form { full, symmetric };
  void add_products(const cpu::Tensor& x, int64_t first, int64_t count, Form form, std::vector<float>& sums);

  ThreadPool& pool_;
  int64_t columns_, tokens_ = 0;
  std::vector<double> sum_, difference_sum_;
  std::vector<float> pivot_, difference_pivot_;  // near the means, so that little cancels
  std::vector<float> transposed_;                // [columns, kBlock]
  std::vector<float> products_, drift_products_;
};

}  // namespace calibrate
}  // namespace mlxe
