#include "errors.h"

#include <nanobind/nanobind.h>

#include "mlx_encoder/error.h"

namespace nb = nanobind;

namespace mlxe::python {

void translate_errors() {
  nb::register_exception_translator(
      [](const std::exception_ptr& thrown, void*) {
        try {
          std::rethrow_exception(thrown);
        } catch (const Error& e) {
          const nb::object classes = nb::module_::import_("mlx_encoder.errors").attr("BY_CODE");
          const nb::object type = classes[name(e.code())];
          PyErr_SetString(type.ptr(), e.what());
        }
      },
      nullptr);
}

}  // namespace mlxe::python
