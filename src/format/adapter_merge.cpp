// W + scaling * B @ A in float32, as PEFT's merge_and_unload computes it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "format/adapter.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

struct FloatMatrix {
  int64_t rows = 0, columns = 0;
  std::vector<float> values;  // row-major
};

std::optional<FloatMatrix> matrix_of(const TensorView& tensor, bool transposed) {
  if (tensor.shape.size() != 2) return std::nullopt;
  FloatMatrix m{tensor.shape[0], tensor.shape[1], to_floats(tensor)};
  if (!transposed) return m;
  FloatMatrix t{m.columns, m.rows, std::vector<float>(m.values.size())};
  for (int64_t i = 0; i < m.rows; ++i)
    for (int64_t j = 0; j < m.columns; ++j)
      t.values[static_cast<size_t>(j * m.rows + i)] = m.values[static_cast<size_t>(i * m.columns + j)];
  return t;
}

// The change of a matrix [rows, columns] is `left` [rows, rank] @ `right` [rank, columns].
struct Product {
  std::optional<FloatMatrix> left, right;

  bool fits(const Shape& shape) const {
    return left && right && shape.size() == 2 && left->rows == shape[0] && right->columns == shape[1] &&
           left->columns == right->rows;
  }
};

Product product_of(const Adapter& adapter, const LowRankChange& change, const Shape& shape) {
  if (adapter.config.form == AdapterForm::peft)
    return change.of_embedding ? Product{matrix_of(*change.a, true), matrix_of(*change.b, true)}
                               : Product{matrix_of(*change.b, false), matrix_of(*change.a, false)};
  // In the others, those of an Embedding have the names of a Linear's. mlx-lm's of a Linear are transposed.
  const bool transposed = adapter.config.form == AdapterForm::mlx;
  Product linear{matrix_of(*change.b, transposed), matrix_of(*change.a, transposed)};
  return linear.fits(shape) ? linear : Product{matrix_of(*change.a, false), matrix_of(*change.b, false)};
}

// DoRA: gives each row the norm of the magnitudes; of an embedding, each column.
void set_norms(std::vector<float>& values, const Shape& shape, bool by_column,
               const std::vector<float>& magnitude) {
  const auto rows = static_cast<size_t>(shape[0]), columns = static_cast<size_t>(shape[1]);
  std::vector<double> squares(magnitude.size(), 0);
  for (size_t i = 0; i < rows; ++i)
    for (size_t j = 0; j < columns; ++j) {
      const double v = values[i * columns + j];
      squares[by_column ? j : i] += v * v;
    }
  for (size_t i = 0; i < rows; ++i)
    for (size_t j = 0; j < columns; ++j) {
      const size_t k = by_column ? j : i;
      values[i * columns + j] *= magnitude[k] / static_cast<float>(std::sqrt(squares[k]));
    }
}

void require_finite(const std::vector<float>& values, const Adapter& adapter, const std::string& module) {
  if (!std::ranges::all_of(values, [](float v) { return std::isfinite(v); }))
    throw Error(ErrorCode::numeric,
                fmt::format("{}: {} with its change has NaN or infinity; the adapter or the model is damaged",
                            adapter.path.string(), printable(module)));
}

[[noreturn]] void does_not_fit(const Adapter& adapter, const std::string& module, const TensorView& tensor,
                               const Shape& shape) {
  throw Error(ErrorCode::format,
              fmt::format("{}: {} is {}, which fits no {} of the shape {}; is the adapter of another model?",
                          adapter.path.string(), printable(tensor.name), to_string(tensor.shape),
                          printable(module), to_string(shape)));
}

}  // namespace

std::vector<float> merge_change(const Adapter& adapter, const std::string& module,
                                const LowRankChange& change, const Shape& shape, std::vector<float> values) {
  const Product product = product_of(adapter, change, shape);
  if (!product.fits(shape)) does_not_fit(adapter, module, *change.a, shape);
  const FloatMatrix &left = *product.left, &right = *product.right;
  const auto columns = static_cast<size_t>(shape[1]), rank = static_cast<size_t>(left.columns);
  const auto scaling = static_cast<float>(adapter.config.scaling(module, left.columns));
  std::vector<float> row(columns);
  for (size_t i = 0; i < static_cast<size_t>(shape[0]); ++i) {
    std::ranges::fill(row, 0.0f);
    for (size_t k = 0; k < rank; ++k) {
      const float factor = left.values[i * rank + k];
      for (size_t j = 0; j < columns; ++j) row[j] += factor * right.values[k * columns + j];
    }
    for (size_t j = 0; j < columns; ++j) values[i * columns + j] += scaling * row[j];
  }
  if (change.magnitude != nullptr) {
    const std::vector<float> magnitude = to_floats(*change.magnitude);
    if (magnitude.size() != static_cast<size_t>(shape[change.of_embedding ? 1 : 0]))
      does_not_fit(adapter, module, *change.magnitude, shape);
    set_norms(values, shape, change.of_embedding, magnitude);
  }
  require_finite(values, adapter, module);
  return values;
}

std::vector<float> merge_bias(const Adapter& adapter, const std::string& module, const LowRankChange& change,
                              const Shape& shape, std::vector<float> values) {
  if (change.bias->shape != shape) does_not_fit(adapter, module, *change.bias, shape);
  const auto scaling = static_cast<float>(adapter.config.scaling(module, change.b->shape[1]));
  const std::vector<float> added = to_floats(*change.bias);
  for (size_t i = 0; i < values.size(); ++i) values[i] += scaling * added[i];
  require_finite(values, adapter, module);
  return values;
}

}  // namespace mlxe
