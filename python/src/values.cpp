#include "values.h"

#include <fmt/format.h>

#include <string_view>

#include "mlx_encoder/error.h"

namespace mlxe::python {
namespace {

std::string text_of(nb::handle value, size_t index) {
  if (!PyUnicode_Check(value.ptr())) {
    const std::string type = nb::cast<std::string>(value.type().attr("__name__"));
    throw nb::type_error(fmt::format("text {}: found {}, expected str", index + 1, type).c_str());
  }
  Py_ssize_t size = 0;
  const char* bytes = PyUnicode_AsUTF8AndSize(value.ptr(), &size);
  if (bytes == nullptr) throw nb::python_error();
  return {bytes, static_cast<size_t>(size)};
}

constexpr size_t kSpecialTokens = 8;  // as bytes of text

bool is_pair(nb::handle value) {
  return (nb::isinstance<nb::tuple>(value) || nb::isinstance<nb::list>(value)) && nb::len(value) == 2;
}

}  // namespace

std::vector<std::string> texts_of(const Texts& list) {
  std::vector<std::string> texts;
  for (const nb::handle value : list) texts.push_back(text_of(value, texts.size()));
  return texts;
}

std::vector<TextInput> inputs_of(const Inputs& list) {
  std::vector<TextInput> inputs;
  for (const nb::handle value : list) {
    const size_t index = inputs.size();
    if (is_pair(value))
      inputs.push_back({text_of(value[0], index), text_of(value[1], index)});
    else
      inputs.push_back({text_of(value, index), std::nullopt});
  }
  return inputs;
}

size_t bytes_of(const std::vector<std::string>& texts) {
  size_t bytes = 0;
  for (const std::string& text : texts) bytes += text.size() + kSpecialTokens;
  return bytes;
}

size_t bytes_of(const std::vector<TextInput>& inputs) {
  size_t bytes = 0;
  for (const TextInput& input : inputs)
    bytes += input.text.size() + (input.pair ? input.pair->size() : 0) + kSpecialTokens;
  return bytes;
}

VectorRanges ranges_of(const Doubles& array, bool in_float64) {
  if (array.shape(0) != 2)
    throw Error(ErrorCode::usage,
                "ranges: expected two rows, the lowest and the highest value of each column");
  const double* values = array.data();
  const size_t columns = array.shape(1);
  return {.lowest = {values, values + columns},
          .highest = {values + columns, values + 2 * columns},
          .in_float64 = in_float64};
}

nb::object package_class(std::string_view name) {
  const size_t dot = name.find('.');
  const std::string module = fmt::format("mlx_encoder.{}", name.substr(0, dot));
  return nb::module_::import_(module.c_str()).attr(std::string(name.substr(dot + 1)).c_str());
}

}  // namespace mlxe::python
