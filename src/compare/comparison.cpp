// The overall result of a comparison: gates and verdict.
#include <fmt/format.h>

#include <algorithm>

#include "mlx_encoder/compare.h"
#include "mlx_encoder/error.h"

namespace mlxe {

const Difference& Comparison::tensor(std::string_view name) const {
  for (const NamedDifference& t : tensors)
    if (t.name == name) return t.difference;
  throw Error(ErrorCode::internal, fmt::format("the comparison has no tensor {}", name));
}

bool Comparison::passed() const {
  return std::ranges::all_of(gates, [](const Gate& g) { return g.passed; });
}

std::string Comparison::verdict() const {
  std::vector<std::string> failed;
  for (const Gate& g : gates)
    if (!g.passed)
      failed.push_back(fmt::format("{} is {:.4g}, its limit {:.4g}", g.name(), g.value, g.limit));
  const Difference& d = tensor(output);
  std::string facts =
      fmt::format("{:.2f} bits a weight instead of {:.2f}; {} cosine {:.5f} on average, {:.5f} at worst",
                  quantized.size.bits_per_weight, original.size.bits_per_weight,
                  output == "logits" ? "logits" : "sentence vectors", d.cosine.mean, d.cosine.min);
  if (vectors)
    facts += fmt::format(", relative error {:.4g}, {:.1f} % of the nearest {} kept", vectors->relative_error,
                         100 * vectors->neighbours_kept, vectors->neighbours);
  if (failed.empty())
    return fmt::format("passed all {} gate{}: {}", gates.size(), gates.size() == 1 ? "" : "s", facts);
  return fmt::format("failed {} of {} gates ({}): {}", failed.size(), gates.size(), fmt::join(failed, "; "),
                     facts);
}

}  // namespace mlxe
