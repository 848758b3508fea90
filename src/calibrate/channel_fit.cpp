#include "calibrate/channel_fit.h"

#include <algorithm>
#include <cmath>

#include "base/thread_pool.h"
#include "engine_cpu/arena.h"

namespace mlxe::calibrate {

void ChannelFit::add(const cpu::Tensor& x, const cpu::Tensor& wanted, std::span<const float> weights,
                     ThreadPool& pool) {
  for (const float w : weights) weight_ += static_cast<double>(w);
  constexpr int64_t kTile = 64;
  const auto channels = static_cast<int64_t>(sums_.size());
  pool.parallel_for((channels + kTile - 1) / kTile, [&](int64_t tile, int) {
    for (int64_t r = 0; r < x.rows(); ++r) {
      const auto w = static_cast<double>(weights[static_cast<size_t>(r)]);
      for (int64_t c = tile * kTile; c < std::min(channels, (tile + 1) * kTile); ++c) {
        const auto a = static_cast<double>(x.row(r)[c]), b = static_cast<double>(wanted.row(r)[c]);
        Sums& s = sums_[static_cast<size_t>(c)];
        s.x += w * a;
        s.wanted += w * b;
        s.xx += w * a * a;
        s.x_wanted += w * a * b;
      }
    }
  });
}

std::vector<ChannelAffine> ChannelFit::lines() const {
  std::vector<ChannelAffine> lines(sums_.size());
  if (!(weight_ > 0)) return lines;
  for (size_t c = 0; c < lines.size(); ++c) {
    const Sums& s = sums_[c];
    const double mean = s.x / weight_, wanted = s.wanted / weight_;
    const double variance = s.xx / weight_ - mean * mean;
    constexpr double kNoise = 1e-6;  // relative variance of a constant in float32
    const double slope =
        variance > kNoise * s.xx / weight_ ? (s.x_wanted / weight_ - mean * wanted) / variance : 1;
    if (!std::isfinite(slope) || !std::isfinite(wanted - slope * mean))
      continue;  // NaN: the linear that reads these rows reports it
    lines[c] = {static_cast<float>(slope), static_cast<float>(wanted - slope * mean)};
  }
  return lines;
}

}  // namespace mlxe::calibrate
