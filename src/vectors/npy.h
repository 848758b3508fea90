// NumPy's .npy format: a header that says type, C order and shape, then the values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "mlx_encoder/types.h"

namespace mlxe {

// The header (version 1.0) of an array. `type`: NumPy's, "<f4"; `shape`: a tuple, "(3,)".
std::string npy_header(const std::string& type, const std::string& shape);
// The header of a matrix. Its length is the same for any number of rows. `dtype`: f32, f16, i8 or u8.
std::string npy_header(Dtype dtype, int64_t rows, int64_t columns);

struct NpyMatrix {
  int64_t rows = 0, columns = 0;
  Dtype dtype = Dtype::f32;    // or f64
  std::vector<double> values;  // row-major
};

// A matrix of float32 or float64 from the `bytes` of the file `path`. Errors: format (not .npy, another type, order or
// number of dimensions, more or less data than its shape).
NpyMatrix parse_npy(const std::filesystem::path& path, std::string_view bytes);

}  // namespace mlxe
