// Values between Python and the library: texts in, NumPy arrays and result objects out.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "mlx_encoder/encoder.h"

namespace mlxe::python {

namespace nb = nanobind;
using namespace nb::literals;

// Texts of a list of str. Errors: TypeError (names the text), UnicodeEncodeError (a lone surrogate).
std::vector<std::string> texts_of(const nb::list& list);
// Texts and pairs of a list of str and of (str, str).
std::vector<TextInput> inputs_of(const nb::list& list);

// A NumPy array over the memory of `values`; nothing is copied. `Element`: of the array, as large as T or T itself.
template <class T>
nb::object array_of(std::vector<T> values, std::vector<size_t> shape,
                    nb::dlpack::dtype dtype = nb::dtype<T>()) {
  auto* owned = new std::vector<T>(std::move(values));
  const nb::capsule owner(owned, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  return nb::cast(nb::ndarray<nb::numpy>(owned->data(), shape.size(), shape.data(), owner, nullptr, dtype));
}

// An object of a class of mlx_encoder.results or mlx_encoder.reports, with its fields by name.
template <class... Fields>
nb::object result(const char* type, Fields&&... fields) {
  return nb::module_::import_("mlx_encoder.results").attr(type)(std::forward<Fields>(fields)...);
}
template <class... Fields>
nb::object report(const char* type, Fields&&... fields) {
  return nb::module_::import_("mlx_encoder.reports").attr(type)(std::forward<Fields>(fields)...);
}

// A list of what `convert` makes of each item.
template <class Items, class Convert>
nb::list list_of(const Items& items, Convert convert) {
  nb::list list;
  for (const auto& item : items) list.append(convert(item));
  return list;
}

}  // namespace mlxe::python
