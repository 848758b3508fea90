#include "calibrate/calibration_ops.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace mlxe::calibrate {

static_assert(EncoderOps<CalibrationOps>);

namespace {

constexpr int64_t kRowsAtOnce = 2048;  // of a feed-forward's wide middle

}  // namespace

CalibrationOps::CalibrationOps(const std::deque<cpu::Weight>& original,
                               const std::deque<cpu::Weight>& changed, ThreadPool& pool, MeetLinears meet)
    : pool_(pool),
      meet_(std::move(meet)),
      original_(original, original_workspace_, &pool, {}),
      changed_(changed, changed_workspace_, &pool, {}) {}

void CalibrationOps::meet(const Tensor& x, std::span<const Linear> ls) {
  MomentSums sums(x.changed.columns(), pool_);
  sums.add(x.original, x.changed);
  meet_(ls, sums.finish());
}

CalibrationOps::Tensor CalibrationOps::embed(std::span<const Lookup> lookups) {
  return both([&](auto& ops, auto) { return ops.embed(lookups); });
}

CalibrationOps::Tensor CalibrationOps::linear(const Tensor& x, const Linear& l) {
  meet(x, {&l, 1});
  return both([&](auto& ops, auto side) { return ops.linear(x.*side, l); });
}

std::vector<CalibrationOps::Tensor> CalibrationOps::linears(const Tensor& x, std::span<const Linear> ls) {
  meet(x, ls);
  std::vector<Tensor> ys;
  for (const Linear& l : ls) ys.push_back(both([&](auto& ops, auto side) { return ops.linear(x.*side, l); }));
  return ys;
}

CalibrationOps::Tensor CalibrationOps::attention(const std::vector<Tensor>& qkv, AttentionSpec spec,
                                                 const Batch& batch) {
  return both([&](auto& ops, auto side) {
    return ops.attention({qkv[0].*side, qkv[1].*side, qkv[2].*side}, spec, batch);
  });
}

CalibrationOps::Tensor CalibrationOps::layer_norm(const Tensor& x, const LayerNorm& norm) {
  return both([&](auto& ops, auto side) { return ops.layer_norm(x.*side, norm); });
}

CalibrationOps::Tensor CalibrationOps::add_layer_norm(const Tensor& a, const Tensor& b,
                                                      const LayerNorm& norm) {
  return both([&](auto& ops, auto side) { return ops.add_layer_norm(a.*side, b.*side, norm); });
}

// The middle is several times as wide as the rest: it is made some rows at a time, once to gather what flows
// into `down` and once more when that is rounded.
CalibrationOps::Tensor CalibrationOps::feed_forward(const Tensor& x, const Linear& up, Activation activation,
                                                    const Linear& down) {
  meet(x, {&up, 1});
  const int64_t tokens = x.changed.rows();
  const auto each_part = [&](auto&& body) {
    for (int64_t first = 0; first < tokens; first += kRowsAtOnce) {
      std::vector<int32_t> rows(static_cast<size_t>(std::min(kRowsAtOnce, tokens - first)));
      std::iota(rows.begin(), rows.end(), static_cast<int32_t>(first));
      body(first, both([&](auto& ops, auto side) {
             return ops.activate(ops.linear(ops.take(x.*side, rows), up), activation);
           }));
    }
  };
  MomentSums sums(down.in, pool_);
  each_part([&](int64_t, const Tensor& middle) { sums.add(middle.original, middle.changed); });
  meet_({&down, 1}, sums.finish());
  Tensor y{original_workspace_.arena.tensor(tokens, down.out),
           changed_workspace_.arena.tensor(tokens, down.out)};
  each_part([&](int64_t first, const Tensor& middle) {
    both([&](auto& ops, auto side) {
      const cpu::Tensor part = ops.linear(middle.*side, down);
      for (int64_t r = 0; r < part.rows(); ++r) std::copy_n(part.row(r), down.out, (y.*side).row(first + r));
      return part;
    });
  });
  return y;
}

CalibrationOps::Tensor CalibrationOps::activate(const Tensor& x, Activation activation) {
  return both([&](auto& ops, auto side) { return ops.activate(x.*side, activation); });
}

CalibrationOps::Tensor CalibrationOps::take(const Tensor& x, std::span<const int32_t> rows) {
  return both([&](auto& ops, auto side) { return ops.take(x.*side, rows); });
}

CalibrationOps::Tensor CalibrationOps::pool(const Tensor& x, PoolingKind kind, const Batch& batch) {
  return both([&](auto& ops, auto side) { return ops.pool(x.*side, kind, batch); });
}

CalibrationOps::Tensor CalibrationOps::concatenate(const std::vector<Tensor>& parts) {
  return both([&](auto& ops, auto side) {
    std::vector<cpu::Tensor> own;
    for (const Tensor& part : parts) own.push_back(part.*side);
    return ops.concatenate(own);
  });
}

CalibrationOps::Tensor CalibrationOps::normalize(const Tensor& x) {
  return both([&](auto& ops, auto side) { return ops.normalize(x.*side); });
}

Matrix CalibrationOps::read(const Tensor& x) const {
  return changed_.read(x.changed);
}

}  // namespace mlxe::calibrate
