#include "engine_cpu/weight.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/mapped_file.h"
#include "engine_cpu/stored_rows.h"
#include "mlx_encoder/error.h"
#include "quant/matrix.h"

namespace mlxe::cpu {
namespace {

// Checks the sizes that later reads rely on.
void check_sizes(const StoredWeight& w) {
  const auto fail = [&](const char* component, uint64_t found, uint64_t expected) {
    throw Error(ErrorCode::format,
                fmt::format("{}: {} hold {} bytes, {} as {} takes {}; the file is damaged", w.name, component,
                            found, to_string(w.shape), to_string(w.scheme), expected));
  };
  ComponentBytes expected;
  if (is_plain(w.scheme)) {
    if (!is_float(w.dtype))
      throw Error(ErrorCode::unsupported,
                  fmt::format("{}: dtype {}, expected a floating-point type", w.name, name(w.dtype)));
    expected.codes = static_cast<uint64_t>(element_count(w.shape)) * size_of(w.dtype);
    if (w.codes.size() != expected.codes) fail("values", w.codes.size(), expected.codes);
    return;
  }
  if (w.shape.size() != 2)
    throw Error(ErrorCode::format,
                fmt::format("{}: {} is quantized but not 2-D", w.name, to_string(w.shape)));
  expected = component_bytes(w.scheme, w.shape[0], w.shape[1]);
  if (w.codes.size() != expected.codes) fail("codes", w.codes.size(), expected.codes);
  if (w.scales.size() != expected.scales) fail("scales", w.scales.size(), expected.scales);
  if (w.biases.size() != expected.biases) fail("biases", w.biases.size(), expected.biases);
}

}  // namespace

Weight::Weight(const StoredWeight& stored) : stored_(stored) {
  const size_t rank = stored.shape.size();
  const auto not_positive = [](int64_t d) { return d <= 0; };
  if (rank < 1 || rank > 3 || std::any_of(stored.shape.begin(), stored.shape.end(), not_positive))
    throw Error(ErrorCode::format, fmt::format("{}: {} is no vector, matrix or convolution", stored.name,
                                               to_string(stored.shape)));
  check_sizes(stored);
  if (rank == 3) stored_.shape = {stored.shape[0], stored.shape[1] * stored.shape[2]};
  if (!is_vector()) return;
  values_.resize(static_cast<size_t>(rows()));
  read_floats(stored.codes.data(), stored.dtype, rows(), values_.data());
  if (!std::all_of(values_.begin(), values_.end(), [](float v) { return std::isfinite(v); }))
    throw Error(ErrorCode::numeric, stored.name + ": holds NaN or infinity; the file is damaged");
}

const float* Weight::stored_floats(int64_t row, int64_t first_column) const noexcept {
  if (!is_plain(stored_.scheme) || stored_.dtype != Dtype::f32) return nullptr;
  const std::byte* at =
      stored_.codes.data() + (row * columns() + first_column) * static_cast<int64_t>(sizeof(float));
  return reinterpret_cast<uintptr_t>(at) % alignof(float) == 0 ? reinterpret_cast<const float*>(at) : nullptr;
}

int Weight::code_group() const noexcept {
  return is_vector() ? 0 : cpu::code_group(stored_.scheme);
}

PackedWeight& Weight::start_packing(int group, Activations activations) {
  return packed_.emplace(stored_, group, activations);
}

void Weight::release_stored() noexcept {
  if (!stored_.mapped) return;
  release_mapped(stored_.codes);
  release_mapped(stored_.scales);
  release_mapped(stored_.biases);
}

}  // namespace mlxe::cpu
