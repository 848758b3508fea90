// mlx_encoder._core: the library for the Python package, which has the arguments' defaults and the documentation.
#include <nanobind/nanobind.h>

#include "call.h"
#include "errors.h"
#include "mlx_encoder/version.h"
#include "model.h"

NB_MODULE(_core, m) {
  using namespace mlxe::python;
  m.doc() = "The compiled part of mlx_encoder; use the package.";
  m.attr("version") = mlxe::kVersion;
  // A thread that is inside a call when the interpreter ends keeps its model; nanobind would call that a leak.
  nanobind::set_leak_warnings(false);
  translate_errors();
  wait_for_calls_at_exit();
  bind_model(m);
  bind_quantize(m);
  bind_convert(m);
  bind_inspect(m);
  bind_verify(m);
  bind_compare(m);
}
