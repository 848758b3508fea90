#include "convert/plan_remarks.h"

#include <fmt/format.h>

#include "base/wording.h"

namespace mlxe {
namespace {

std::string counted_tensors(const std::vector<std::string>& names) {
  return fmt::format("{} tensor{}", names.size(), names.size() == 1 ? "" : "s");
}

}  // namespace

void PlanRemarks::add_to(ConversionPlan& plan, const std::string& folder, Purpose purpose) const {
  for (const auto& [reason, names] : fallbacks)
    plan.warnings.push_back(
        fmt::format("{}: {} ({}: {})", folder, reason, counted_tensors(names), listed(names, kListedNames)));
  const auto warn = [&](const std::vector<std::string>& names, const char* what) {
    if (!names.empty())
      plan.warnings.push_back(
          fmt::format("{}: {} {}: {}", folder, counted_tensors(names), what, listed(names, kListedNames)));
  };
  warn(carried_over, "not part of the model this version runs, carried over as floats");
  warn(unknown,
       "in layers, but not part of the architecture, left out; the results differ from the original's");
  warn(left_out, "without a place in mlx-embeddings, not written");
  warn(
      requantized,
      "already quantized another way, requantized from the dequantized values, which adds a second rounding");
  if (purpose == Purpose::convert) warn(dequantized, "stored quantized, written as floats");

  plan.notes.insert(plan.notes.end(), notes.begin(), notes.end());
  const auto note = [&](const std::vector<std::string>& names, const std::string& what) {
    if (!names.empty()) plan.notes.push_back(fmt::format("{}: {}", what, listed(names, kListedNames)));
  };
  note(stray, fmt::format("dropped {} that nothing reads", counted_tensors(stray)));
  note(buffers, "dropped constants every loader makes itself");
  note(renamed, fmt::format("renamed {} from gamma/beta to weight/bias", counted_tensors(renamed)));
}

std::vector<std::string> PlanRemarks::counted_fallbacks() const {
  std::vector<std::string> counted;
  for (const auto& [reason, names] : fallbacks)
    counted.push_back(fmt::format("{} ({})", reason, counted_tensors(names)));
  return counted;
}

}  // namespace mlxe
