#include "engine_mlx/module/weights.h"

#include <fmt/format.h>

#include <cstring>

#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

mx::Dtype mlx_dtype(Dtype dtype, const std::string& weight) {
  switch (dtype) {
    case Dtype::f64:
      return mx::float64;
    case Dtype::f32:
      return mx::float32;
    case Dtype::f16:
      return mx::float16;
    case Dtype::bf16:
      return mx::bfloat16;
    default:
      throw Error(ErrorCode::unsupported,
                  fmt::format("{}: stored as {}, expected a float type", weight, name(dtype)));
  }
}

mx::Shape mlx_shape(const Shape& shape) {
  return mx::Shape(shape.begin(), shape.end());
}

// Copies the bytes, because tensors in a mapped file may be unaligned.
mx::array copy_of(std::span<const std::byte> bytes, mx::Shape shape, mx::Dtype dtype,
                  const std::string& weight) {
  size_t expected = mx::size_of(dtype);
  for (const int n : shape) expected *= static_cast<size_t>(n);
  if (bytes.size() != expected)
    throw Error(ErrorCode::format,
                fmt::format("{}: {} bytes, its shape and scheme imply {}", weight, bytes.size(), expected));
  mx::array copy(mx::allocator::malloc(expected), std::move(shape), dtype);
  std::memcpy(copy.data<std::byte>(), bytes.data(), expected);
  return copy;
}

}  // namespace

// float64 is always converted: GPUs do not support it.
mx::array MlxWeights::floats(const mx::array& stored) {
  if (stored.dtype() == mx::float32 || (stored.dtype() != mx::float64 && !upcast_)) return stored;
  upcast_any_ = upcast_any_ || stored.dtype() != mx::float64;
  mx::array cast = mx::astype(stored, mx::float32, mx::Device::cpu);
  cast.eval();
  return cast;
}

// w = (q - zero_point) * scale, rounded once to the engine's float.
MlxWeight MlxWeights::from_int8(const StoredWeight& stored) {
  const mx::Shape shape = mlx_shape(stored.shape), row{shape[0]};
  const auto f32 = [](const mx::array& x) { return mx::astype(x, mx::float32); };
  const mx::array codes = f32(copy_of(stored.codes, shape, mx::int8, stored.name));
  const mx::array scale = copy_of(stored.scales, row, mx::float32, stored.name);
  const mx::array zero = f32(copy_of(stored.biases, row, mx::int8, stored.name));
  mx::array values = mx::multiply(mx::subtract(codes, mx::expand_dims(zero, 1)), mx::expand_dims(scale, 1));
  if (!upcast_) values = mx::astype(values, mx::float16);
  values.eval();
  int8_any_ = true;
  return {.scheme = {}, .dtype = values.dtype(), .codes = values, .scales = {}, .biases = {}};
}

WeightId MlxWeights::add(const StoredWeight& stored) {
  const Scheme& scheme = stored.scheme;
  MlxWeight weight{.scheme = scheme, .scales = {}, .biases = {}};
  mx::Shape shape = mlx_shape(stored.shape);
  switch (scheme.mode) {
    case Mode::none:
    case Mode::fake:
      weight.scheme = {};
      weight.codes = floats(copy_of(stored.codes, shape, mlx_dtype(stored.dtype, stored.name), stored.name));
      weight.dtype = weight.codes.dtype();
      break;
    case Mode::int8:
      weight = from_int8(stored);
      break;
    case Mode::affine:
    case Mode::mxfp4:
    case Mode::mxfp8:
    case Mode::nvfp4: {
      const int columns = shape.back();
      shape.back() = columns * scheme.bits / 32;
      weight.codes = copy_of(stored.codes, shape, mx::uint32, stored.name);
      shape.back() = columns / scheme.group_size;
      weight.dtype = upcast_ ? mx::float32 : mlx_dtype(stored.dtype, stored.name);
      if (scheme.mode == Mode::affine) {
        const mx::Dtype dtype = mlx_dtype(scheme.dtype, stored.name);
        weight.scales = floats(copy_of(stored.scales, shape, dtype, stored.name));
        weight.biases = floats(copy_of(stored.biases, shape, dtype, stored.name));
        weight.dtype = weight.scales->dtype();
      } else {
        weight.scales = copy_of(stored.scales, shape, mx::uint8, stored.name);
      }
      break;
    }
  }
  weight.name = stored.name;
  weights_.push_back(std::move(weight));
  return static_cast<WeightId>(weights_.size()) - 1;
}

std::vector<std::string> MlxWeights::notes() const {
  std::vector<std::string> notes;
  if (upcast_any_)
    notes.push_back(
        "16-bit floats, scales and biases were widened to float32 in memory: MLX's CPU backend is many times "
        "slower in 16 bits");
  if (int8_any_)
    notes.push_back(fmt::format("int8 matrices were dequantized to {} in memory: MLX has no such scheme",
                                upcast_ ? "float32" : "float16"));
  return notes;
}

}  // namespace mlxe
