// Values between Python and the library: texts in, NumPy arrays and result objects out.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mlx_encoder/encoder.h"
#include "mlx_encoder/vector_precision.h"

namespace mlxe::python {

namespace nb = nanobind;
using namespace nb::literals;

// What the stub says of lists of texts, and of texts and pairs.
using Texts = nb::typed<nb::list, nb::str>;
using Inputs = nb::typed<nb::list, nb::object>;

// Texts of a list of str. Errors: TypeError (names the text), UnicodeEncodeError (a lone surrogate).
std::vector<std::string> texts_of(const Texts& list);
// Texts and pairs of a list of str and of (str, str).
std::vector<TextInput> inputs_of(const Inputs& list);

// Their size, for Pace; each counts for some more, for its special tokens.
size_t bytes_of(const std::vector<std::string>& texts);
size_t bytes_of(const std::vector<TextInput>& inputs);

using Doubles = nb::ndarray<const double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

// Of an array [2, columns]: the lowest and the highest value of each column. Errors: usage (other rows).
VectorRanges ranges_of(const Doubles& array, bool in_float64);

// A NumPy array over the memory of `values`; nothing is copied.
template <class Array, class T>
Array array_of(std::vector<T> values, std::array<size_t, 2> shape, nb::dlpack::dtype dtype) {
  auto* owned = new std::vector<T>(std::move(values));
  const nb::capsule owner(owned, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  return Array(owned->data(), shape.size(), shape.data(), owner, nullptr, dtype);
}

template <size_t N>
struct ClassName {
  constexpr ClassName(const char (&name)[N]) { std::copy_n(name, N, text); }  // NOLINT: a literal is the name
  char text[N];
};

// An object of the package's class `kClass`, such as "results.Tokens". The stub has its name.
template <ClassName kClass>
class Result : public nb::object {
 public:
  static constexpr auto Name = nb::detail::const_name("mlx_encoder.") + nb::detail::const_name(kClass.text);
  explicit Result(nb::object made) : nb::object(std::move(made)) {}
  Result(nb::handle h, nb::detail::borrow_t tag) : nb::object(h, tag) {}
  Result(nb::handle h, nb::detail::steal_t tag) : nb::object(h, tag) {}
  static bool check_(nb::handle) { return true; }
};

nb::object package_class(std::string_view name);

// A new object, with its fields by name.
template <ClassName kClass, class... Fields>
Result<kClass> result(Fields&&... fields) {
  return Result<kClass>(package_class(kClass.text)(std::forward<Fields>(fields)...));
}

// A list of what `convert` makes of each item.
template <class Items, class Convert>
auto list_of(const Items& items, Convert convert) {
  nb::list list;
  for (const auto& item : items) list.append(convert(item));
  return nb::typed<nb::list, decltype(convert(*items.begin()))>(list);
}

}  // namespace mlxe::python
