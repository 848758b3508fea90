// An affine function for each channel that maps the changed values to the original ones: a correction that fits into
// a layer norm's weight and bias.
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

struct ChannelAffine {
  float slope = 1, offset = 0;
};

class ChannelFit {
 public:
  explicit ChannelFit(int64_t channels) : sums_(static_cast<size_t>(channels)) {}

  // Adds rows of x, the wanted rows, and a weight for each row.
  void add(const cpu::Tensor& x, const cpu::Tensor& wanted, std::span<const float> weights, ThreadPool& pool);
  // For each channel the slope and offset with the smallest mean squared error of slope x + offset. A channel
  // that hardly varies keeps its slope.
  std::vector<ChannelAffine> lines() const;

 private:
  struct Sums {
    double x = 0, wanted = 0, xx = 0, x_wanted = 0;
  };
  std::vector<Sums> sums_;
  double weight_ = 0;
};

}  // namespace calibrate
}  // namespace mlxe
