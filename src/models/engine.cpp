#include "models/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

void check_finite(const RunRequest& request, const Matrix& m, OutputRows rows, const std::string& what) {
  const auto bad = std::find_if(m.values.begin(), m.values.end(), [](float v) { return !std::isfinite(v); });
  if (bad == m.values.end()) return;
  const Batch& batch = request.batch;
  const int64_t row = (bad - m.values.begin()) / m.columns;
  int64_t text =
      rows == OutputRows::texts && !batch.parts.empty() ? batch.parts[static_cast<size_t>(row)].text : row;
  std::string token;
  if (rows != OutputRows::texts) {
    const int64_t at = rows == OutputRows::tokens ? row : batch.chosen[static_cast<size_t>(row)];
    text = std::upper_bound(batch.offsets.begin(), batch.offsets.end(), at) - batch.offsets.begin() - 1;
    token = fmt::format(", token {}", at - batch.offsets[static_cast<size_t>(text)]);
  }
  throw Error(ErrorCode::numeric,
              fmt::format("text {}{}: {} in the {}; the weights are damaged or overflow their type",
                          number_of(request.numbers, static_cast<size_t>(text)), token,
                          std::isnan(*bad) ? "NaN" : "infinity", what));
}

}  // namespace

EngineKind parse_engine(std::string_view spelling) {
  if (spelling == "auto") return EngineKind::automatic;
  if (spelling == "mlx") return EngineKind::mlx;
  if (spelling == "cpu") return EngineKind::cpu;
  throw Error(ErrorCode::usage, "engine: \"" + std::string(spelling) + "\" is unknown; use auto, mlx or cpu");
}

Activations parse_activations(std::string_view spelling) {
  if (spelling == "auto") return Activations::automatic;
  if (spelling == "int8") return Activations::int8;
  if (spelling == "bf16" || spelling == "bfloat16") return Activations::bf16;
  if (spelling == "f32" || spelling == "float32") return Activations::float32;
  throw Error(ErrorCode::usage,
              "activations: \"" + std::string(spelling) + "\" is unknown; use auto, int8, bf16 or f32");
}

const char* name(Activations activations) noexcept {
  constexpr std::array kNames{"auto", "int8", "bf16", "f32"};
  return kNames[static_cast<size_t>(activations)];
}

std::vector<Matrix::Values> RunResult::take_values() {
  std::vector<Matrix::Values> taken;
  each([&](Output, Matrix& m) {
    if (m.values.capacity() > 0) taken.push_back(std::move(m.values));
    m = {};
  });
  layers.clear();
  return taken;
}

void check_finite(const RunRequest& request, const RunResult& result) {
  for (size_t i = 0; i < result.layers.size(); ++i)
    check_finite(request, result.layers[i], OutputRows::tokens,
                 i == 0 ? "embeddings" : fmt::format("output of layer {}", i - 1));
  for (const OutputEntry& o : kOutputTable)
    if (o.output != Output::layers) check_finite(request, result[o.output], o.rows, o.words);
}

}  // namespace mlxe
