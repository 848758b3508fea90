#include "models/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

void check_finite(const Matrix& m, const std::string& what, const char* row_kind) {
  const auto bad = std::find_if(m.values.begin(), m.values.end(), [](float v) { return !std::isfinite(v); });
  if (bad == m.values.end()) return;
  const int64_t at = bad - m.values.begin();
  throw Error(ErrorCode::numeric,
              fmt::format("{}: {} at {} {}, column {}; the weights are damaged or overflow their type", what,
                          std::isnan(*bad) ? "NaN" : "infinity", row_kind, at / m.columns, at % m.columns));
}

}  // namespace

std::vector<Matrix::Values> RunResult::take_values() {
  std::vector<Matrix::Values> taken;
  const auto take = [&](Matrix& m) {
    if (m.values.capacity() > 0) taken.push_back(std::move(m.values));
    m = {};
  };
  for (Matrix* m : {&hidden, &pooler, &sentence, &logits}) take(*m);
  for (Matrix& m : layers) take(m);
  layers.clear();
  return taken;
}

void check_finite(const RunResult& result) {
  for (size_t i = 0; i < result.layers.size(); ++i)
    check_finite(result.layers[i], i == 0 ? "embeddings" : fmt::format("layer {}", i - 1), "token");
  check_finite(result.hidden, "last hidden state", "token");
  check_finite(result.pooler, "pooler", "text");
  check_finite(result.sentence, "sentence vectors", "text");
  check_finite(result.logits, "logits", "text");
}

}  // namespace mlxe
