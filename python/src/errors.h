// mlxe::Error as an exception of Python: mlx_encoder.errors has a class for each ErrorCode.
#pragma once

namespace mlxe::python {

void translate_errors();  // call once, when the module is loaded

}  // namespace mlxe::python
