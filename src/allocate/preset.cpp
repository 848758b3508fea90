// Presets: two widths, and the matrices that get the higher one.
#include <fmt/format.h>

#include <array>

#include "allocate/model_trace.h"
#include "encoder/model_loader.h"
#include "mlx_encoder/allocate.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

struct Preset {
  std::string_view name;
  int low, high;
};
constexpr Preset kPresets[] = {
    {"mixed_2_6", 2, 6}, {"mixed_3_4", 3, 4}, {"mixed_3_6", 3, 6}, {"mixed_4_6", 4, 6}, {"mixed_4_8", 4, 8}};

// The matrices that gain most for their bytes in the models measured (docs/mixed.md): values, the down projection of
// the feed-forward, and all tables except the first (the word embeddings).
bool gets_more(const allocate::TensorUse& t, const allocate::TensorUse& first) {
  using allocate::MatrixRole;
  const bool small_table = t.matrix == MatrixRole::table && t.name != first.name;
  return t.matrix == MatrixRole::value || t.matrix == MatrixRole::down || small_table;
}

}  // namespace

void apply_preset(std::string_view preset, ConvertOptions& options) {
  const Preset* found = nullptr;
  std::string names;
  for (const Preset& p : kPresets) {
    if (p.name == preset) found = &p;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", p.name);
  }
  if (found == nullptr)
    throw Error(ErrorCode::usage,
                fmt::format("--quant-predicate {}: there is no such preset; use one of {}", preset, names));
  const Scheme& s = options.scheme;
  options.scheme = {Mode::affine, found->low, s.mode == Mode::affine ? s.group_size : 64, s.dtype};
  Scheme higher = options.scheme;
  higher.bits = found->high;
  const LoadedModel loaded =
      load_model(options.model, {}, ExpectVectors::yes,
                 options.allow_unknown ? UnknownTensors::accept : UnknownTensors::refuse);
  const std::vector<allocate::TensorUse> uses =
      allocate::trace(loaded.model, allocate::output_of(loaded.model));
  for (const allocate::TensorUse& t : uses)
    if ((t.role == Role::linear || t.role == Role::embedding) && gets_more(t, uses.front()))
      options.allocation[t.name] = higher;
}

}  // namespace mlxe
