#include "convert/weight_components.h"

#include <string_view>

namespace mlxe {

bool is_mlx(Mode mode) noexcept {
  return mode == Mode::affine || mode == Mode::mxfp4 || mode == Mode::mxfp8 || mode == Mode::nvfp4;
}

bool same_form(const Scheme& a, const Scheme& b) noexcept {
  const bool typed = a.mode == Mode::none || a.mode == Mode::affine;
  return a.mode == b.mode && a.bits == b.bits && a.group_size == b.group_size &&
         (!typed || a.dtype == b.dtype);
}

std::vector<TensorSpec> weight_components(const std::string& name, const Shape& shape, const Scheme& scheme) {
  if (scheme.mode == Mode::none) return {{name, scheme.dtype, shape}};
  const int64_t rows = shape[0], columns = shape[1];
  if (scheme.mode == Mode::int8)
    return {{name, Dtype::i8, shape},
            {name + ".scale", Dtype::f32, {rows}},
            {name + ".zero_point", Dtype::i8, {rows}}};
  if (scheme.mode == Mode::fake)
    return {{name, Dtype::f32, shape},
            {name + ".scale", Dtype::f32, {1}},
            {name + ".zero_point", Dtype::f32, {1}}};
  constexpr std::string_view kWeight = ".weight";
  const std::string module = name.substr(0, name.size() - kWeight.size());
  const Shape groups{rows, columns / scheme.group_size};
  const bool affine = scheme.mode == Mode::affine;
  std::vector<TensorSpec> components{{name, Dtype::u32, {rows, columns * scheme.bits / 32}},
                                     {module + ".scales", affine ? scheme.dtype : Dtype::u8, groups}};
  if (affine) components.push_back({module + ".biases", scheme.dtype, groups});
  return components;
}

}  // namespace mlxe
