#include "format/tensor_file.h"

#include <fmt/format.h>

#include <cstring>
#include <functional>
#include <optional>

#include "base/half.h"
#include "mlx_encoder/error.h"

namespace mlxe {

TensorFile::TensorFile(const std::filesystem::path& path, ParseTensors& parse)
    : path_(path), file_(path), content_(parse(file_.bytes(), path.string())) {
  for (size_t i = 0; i < content_.tensors.size(); ++i) index_.emplace(content_.tensors[i].name, i);
}

const TensorView* TensorFile::find(std::string_view name) const {
  const auto it = index_.find(std::string(name));
  return it == index_.end() ? nullptr : &content_.tensors[it->second];
}

void TensorFile::release(std::span<const std::byte> data) const noexcept {
  // std::less orders pointers into different blocks of memory; `<` does not.
  const std::less<const std::byte*> before;
  const auto release_in = [&](const MappedFile& mapped) {
    const std::span<const std::byte> file = mapped.bytes();
    if (!before(data.data(), file.data()) && !before(file.data() + file.size(), data.data() + data.size()))
      mapped.release(data);
  };
  release_in(file_);
  for (const SideFile& other : content_.beside) release_in(other.file);
}

std::optional<uint64_t> checked_bytes(size_t element, const Shape& shape) noexcept {
  auto n = static_cast<int64_t>(element);
  for (const int64_t d : shape)
    // A later dimension of 0 would make the product 0, but no real tensor has such a shape.
    if (d < 0 || __builtin_mul_overflow(n, d, &n)) return std::nullopt;
  return static_cast<uint64_t>(n);
}

std::unique_ptr<std::byte[]> contiguous_copy(const std::byte* first, size_t element, const Shape& shape,
                                             const Shape& strides, uint64_t bytes) {
  auto copy = std::make_unique<std::byte[]>(bytes);
  std::byte* out = copy.get();
  const size_t inner = shape.size() - 1;
  Shape at(shape.size(), 0);
  for (std::byte* const end = out + bytes; out < end;) {
    int64_t row = 0;
    for (size_t d = 0; d < inner; ++d) row += at[d] * strides[d];
    for (int64_t i = 0; i < shape[inner]; ++i, out += element)
      std::memcpy(out, first + static_cast<size_t>(row + i * strides[inner]) * element, element);
    for (size_t d = inner; d-- > 0 && ++at[d] == shape[d];) at[d] = 0;
  }
  return copy;
}

namespace {

template <class T, class Convert>
void convert(std::span<const std::byte> data, std::span<float> out, Convert to) {
  const std::byte* p = data.data();
  for (size_t i = 0; i < out.size(); ++i, p += sizeof(T)) {
    T value;
    std::memcpy(&value, p, sizeof value);
    out[i] = to(value);
  }
}

template <class T>
void convert(std::span<const std::byte> data, std::span<float> out) {
  convert<T>(data, out, [](T value) { return static_cast<float>(value); });
}

}  // namespace

void to_float(Dtype dtype, std::span<const std::byte> data, std::span<float> out) {
  if (data.size() != out.size() * size_of(dtype))
    throw Error(ErrorCode::internal,
                fmt::format("to_float: {} bytes of {} for {} values", data.size(), name(dtype), out.size()));
  if (out.empty()) return;
  switch (dtype) {
    case Dtype::f64:
      return convert<double>(data, out);
    case Dtype::f32:
      std::memcpy(out.data(), data.data(), data.size());
      return;
    case Dtype::f16:
      return convert<uint16_t>(data, out, f16_to_float);
    case Dtype::bf16:
      return convert<uint16_t>(data, out, bf16_to_float);
    case Dtype::i64:
      return convert<int64_t>(data, out);
    case Dtype::i32:
      return convert<int32_t>(data, out);
    case Dtype::i16:
      return convert<int16_t>(data, out);
    case Dtype::i8:
      return convert<int8_t>(data, out);
    case Dtype::u64:
      return convert<uint64_t>(data, out);
    case Dtype::u32:
      return convert<uint32_t>(data, out);
    case Dtype::u16:
      return convert<uint16_t>(data, out);
    case Dtype::u8:
      return convert<uint8_t>(data, out);
    case Dtype::boolean:
      return convert<uint8_t>(data, out, [](uint8_t value) { return value ? 1.0f : 0.0f; });
  }
}

std::vector<float> to_floats(const TensorView& tensor) {
  std::vector<float> values(static_cast<size_t>(element_count(tensor.shape)));
  to_float(tensor, values);
  return values;
}

}  // namespace mlxe
