#include "calibrate/later_uses.h"

#include <algorithm>
#include <utility>

#include "calibrate/calibration_ops.h"
#include "models/run_plan.h"

namespace mlxe::calibrate {
namespace {

// Changes nothing, and adds up moments.
class LaterUses : public Fitter {
 public:
  LaterUses(const std::set<WeightId>& shared, ThreadPool& pool) : shared_(shared), pool_(pool) {}

  GroupMoments take() { return std::move(found_); }

 private:
  void tables(std::span<const Lookup>, const LayerNorm*) override {}
  std::vector<ChannelAffine> norm(const LayerNorm&, const ChannelFit&) override { return {}; }
  void stored() override {}

  std::unique_ptr<MomentSums> moments(std::span<const Linear> linears, int64_t outputs) override {
    if (std::ranges::none_of(linears, [&](const Linear& l) { return shared_.contains(l.weight); })) return {};
    const auto [group, is_first] = found_.try_emplace({linears, outputs});
    if (is_first) return {};
    std::unique_ptr<MomentSums> sums = std::move(group->second);
    return sums ? std::move(sums) : std::make_unique<MomentSums>(linears[0].in, outputs, pool_);
  }
  void round_linears(std::span<const Linear> linears, std::unique_ptr<MomentSums> sums) override {
    const int64_t outputs = sums->target() == Target::outputs ? linears[0].out : 0;
    found_.at({linears, outputs}) = std::move(sums);
  }

  const std::set<WeightId>& shared_;
  ThreadPool& pool_;
  GroupMoments found_;  // null after the first use
};

}  // namespace

LinearGroup::LinearGroup(std::span<const Linear> linears, int64_t group_outputs) : outputs(group_outputs) {
  for (const Linear& l : linears) weights.push_back(l.weight);
}

GroupMoments moments_of_later_uses(const Plan& plan, const std::set<WeightId>& shared,
                                   const std::deque<cpu::Weight>& original, const Batch& batch,
                                   const std::filesystem::path& scratch, ThreadPool& pool) {
  LaterUses uses(shared, pool);
  CalibrationOps ops(original, original, batch, scratch, pool, uses);
  run_plan(ops, plan, plan.whole, batch, {Output::hidden}, [](Output, const CalibrationOps::Tensor&) {});
  return uses.take();
}

}  // namespace mlxe::calibrate
