// Combines a checkpoint's tensors into one weight: plain, quantized by MLX, or our int8.
#include <fmt/format.h>

#include "format/checkpoint.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

std::string describe(const CheckpointTensor& tensor) {
  return fmt::format("{} is {} {}", printable(tensor.original), name(tensor.view.dtype),
                     to_string(tensor.view.shape));
}

// For the message: the schemes that give rows of `words` packed words and `groups` scales.
std::string consistent_schemes(int64_t words, int64_t groups) {
  std::string text;
  for (const int bits : {2, 3, 4, 5, 6, 8})
    for (const int group : {16, 32, 64, 128})
      if (words * 32 == groups * group * bits)
        text += fmt::format("{}{} bits with group size {}", text.empty() ? "" : " or ", bits, group);
  return text.empty() ? "no bits and group size" : text;
}

StoredWeight plain(const CheckpointTensor& tensor) {
  return {.name = tensor.name,
          .scheme = {.mode = Mode::none, .dtype = tensor.view.dtype},
          .shape = tensor.view.shape,
          .dtype = tensor.view.dtype,
          .codes = tensor.view.data,
          .scales = {},
          .biases = {},
          .mapped = tensor.view.mapped};
}

}  // namespace

std::string_view module_of(std::string_view tensor_name) noexcept {
  constexpr std::string_view kWeight = ".weight";
  return tensor_name.ends_with(kWeight) ? tensor_name.substr(0, tensor_name.size() - kWeight.size())
                                        : std::string_view{};
}

void Checkpoint::fail(const CheckpointTensor& tensor, const std::string& what) const {
  throw Error(ErrorCode::format, fmt::format("{}: {}", files_[tensor.file].path.string(), what));
}

StoredWeight Checkpoint::stored(std::string_view name) const {
  const CheckpointTensor* weight = find(name);
  if (!weight)
    throw Error(ErrorCode::format,
                fmt::format("{}: the tensor {} is missing", folder_.string(), printable(name)));
  if (const std::string module(module_of(name)); !module.empty()) {
    if (const CheckpointTensor* scales = find(module + ".scales")) return stored_mlx(*weight, *scales);
    const CheckpointTensor* biases = find(module + ".biases");
    if (biases || weight->view.dtype == Dtype::u32)
      fail(*weight, fmt::format("{}, but {} is missing", describe(biases ? *biases : *weight),
                                printable(module + ".scales")));
  }
  return weight->view.dtype == Dtype::i8 ? stored_int8(*weight) : plain(*weight);
}

StoredWeight Checkpoint::stored_mlx(const CheckpointTensor& weight, const CheckpointTensor& scales) const {
  const std::string module(module_of(weight.name)), original(module_of(weight.original));
  if (!quantization_.present())
    fail(weight, fmt::format("{} has quantization scales, but config.json has no \"quantization\"",
                             printable(weight.original)));
  std::vector<std::string> names{module, original, fmt::format("model.{}", module),
                                 fmt::format("model.{}", original)};
  if (!base_prefix_.empty()) names.push_back(fmt::format("{}.{}", base_prefix_, module));
  const QuantizationConfig::Choice choice = quantization_.choose(names);
  if (!choice.scheme)
    fail(weight, fmt::format("{} is stored quantized, but {} says {}: false", printable(weight.original),
                             quantization_.where(), printable(choice.key)));

  StoredWeight result = plain(weight);
  result.scheme = *choice.scheme;
  const int bits = result.scheme.bits, group_size = result.scheme.group_size;
  const Shape &words = weight.view.shape, &groups = scales.view.shape;
  if (weight.view.dtype != Dtype::u32 || words.size() != 2 || groups.size() != 2 || words[0] != groups[0] ||
      words[0] == 0 || words[1] == 0)
    fail(weight, fmt::format("{}, {}; expected U32 [rows, words] and [rows, groups]", describe(weight),
                             describe(scales)));
  // No overflow: a row's words and groups exist in a file.
  const int64_t columns = groups[1] * group_size;
  if (words[1] * 32 != columns * bits)
    fail(weight, fmt::format("{}, {}: that is {}, but {}{} says {} bits with group size {}", describe(weight),
                             describe(scales), consistent_schemes(words[1], groups[1]), quantization_.where(),
                             choice.key.empty() ? "" : fmt::format(" for {}", printable(choice.key)), bits,
                             group_size));
  result.shape = {words[0], columns};
  result.scales = scales.view.data;
  result.mapped &= scales.view.mapped;

  const CheckpointTensor* biases = find(module + ".biases");
  if (result.scheme.mode != Mode::affine) {
    if (scales.view.dtype != Dtype::u8)
      fail(weight, fmt::format("{}, expected U8 for this mode", describe(scales)));
    if (biases)
      fail(weight, fmt::format("{} is there, but {} gives a mode without biases", printable(biases->original),
                               quantization_.where()));
    result.dtype = result.scheme.dtype;
    return result;
  }
  if (!is_float(scales.view.dtype) || scales.view.dtype == Dtype::f64)
    fail(weight, fmt::format("{}, expected F32, F16 or BF16 for mode affine", describe(scales)));
  if (!biases)
    fail(weight, fmt::format("{} is missing; mode affine needs it", printable(module + ".biases")));
  if (biases->view.dtype != scales.view.dtype || biases->view.shape != groups)
    fail(weight, fmt::format("{}, expected the same as {}", describe(*biases), describe(scales)));
  result.scheme.dtype = result.dtype = scales.view.dtype;
  result.biases = biases->view.data;
  result.mapped &= biases->view.mapped;
  return result;
}

StoredWeight Checkpoint::stored_int8(const CheckpointTensor& weight) const {
  const CheckpointTensor* scale = find(weight.name + ".scale");
  const CheckpointTensor* zero = find(weight.name + ".zero_point");
  if (!scale || !zero)
    fail(weight, fmt::format("{}, but {} is missing", describe(weight),
                             printable(weight.name + (scale ? ".zero_point" : ".scale"))));
  if (weight.view.shape.size() != 2 || scale->view.dtype != Dtype::f32 ||
      scale->view.shape != Shape{weight.view.shape[0]})
    fail(weight, fmt::format("{}, {}; expected I8 [rows, columns] and F32 [rows]", describe(weight),
                             describe(*scale)));
  if (zero->view.dtype != Dtype::i8 || zero->view.shape != scale->view.shape)
    fail(weight, fmt::format("{}, expected I8 {}", describe(*zero), to_string(scale->view.shape)));
  StoredWeight result = plain(weight);
  result.scheme = {.mode = Mode::int8, .bits = 8};
  result.dtype = Dtype::f32;
  result.scales = scale->view.data;
  result.biases = zero->view.data;
  result.mapped &= scale->view.mapped && zero->view.mapped;
  return result;
}

}  // namespace mlxe
