#include "engine_cpu/ops.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "mlx_encoder/error.h"

namespace mlxe::cpu {

static_assert(EncoderOps<CpuOps>);

namespace {

float* grown(std::unique_ptr<Buffer>& buffer, int64_t floats) {
  if (!buffer || buffer->capacity() < static_cast<size_t>(floats))
    buffer = std::make_unique<Buffer>(static_cast<size_t>(floats));
  return buffer->data();
}

}  // namespace

CpuOps::CpuOps(const std::deque<Weight>& weights, Workspace& workspace, ThreadPool* pool,
               ActivationFormat format)
    : weights_(weights),
      workspace_(workspace),
      pool_(pool),
      kernels_(kernels()),
      int8_(int8_kernels()),
      bf16_(bf16_kernels()),
      format_(format) {
  const size_t slots = pool_ == nullptr ? 1 : static_cast<size_t>(pool_->threads());
  if (workspace_.scratch.size() < slots) {
    workspace_.scratch.resize(slots);
    workspace_.expanded.resize(slots);
  }
}

float* CpuOps::scratch(int slot, int64_t floats) {
  return grown(workspace_.scratch[static_cast<size_t>(slot)], floats);
}

uint8_t* CpuOps::expanded(int slot, int64_t bytes) {
  return reinterpret_cast<uint8_t*>(
      grown(workspace_.expanded[static_cast<size_t>(slot)], bytes / static_cast<int64_t>(sizeof(float))));
}

const Weight& CpuOps::weight(WeightId id) const {
  if (id < 0 || static_cast<size_t>(id) >= weights_.size())
    throw Error(ErrorCode::internal,
                fmt::format("cpu engine: weight id {} is out of range ({} weights)", id, weights_.size()));
  return weights_[static_cast<size_t>(id)];
}

const float* CpuOps::vector(WeightId id, int64_t size) const {
  const Weight& w = weight(id);
  if (!w.is_vector() || w.rows() != size)
    throw Error(ErrorCode::format,
                fmt::format("{}: not a vector of {} values, which the model needs here", w.name(), size));
  return w.values();
}

const Weight& CpuOps::matrix(WeightId id, int64_t rows, int64_t columns) const {
  const Weight& w = weight(id);
  if (w.is_vector() || w.rows() != rows || w.columns() != columns)
    throw Error(ErrorCode::format, fmt::format("{}: not a [{}, {}] matrix, which the model needs here",
                                               w.name(), rows, columns));
  return w;
}

Tensor CpuOps::embed(std::span<const Lookup> lookups) {
  const auto tokens = static_cast<int64_t>(lookups[0].rows.size());
  const int64_t columns = lookups[0].table.columns;
  for (const Lookup& l : lookups) {
    const Weight& table = matrix(l.table.weight, l.table.rows, columns);
    check_rows(l, table.rows(), table.name());
  }
  Tensor x = workspace_.arena.tensor(tokens, columns);
  loop_rows(tokens, [&](int64_t first, int64_t rows, int slot) {
    float* row = scratch(slot, columns);
    for (int64_t t = first; t < first + rows; ++t)
      for (size_t i = 0; i < lookups.size(); ++i) {
        const Weight& table = weight(lookups[i].table.weight);
        float* values = i == 0 ? x.row(t) : row;
        const int32_t index = lookups[i].rows[static_cast<size_t>(t)];
        if (index == kNoRow)
          std::fill_n(values, columns, 0.0f);
        else
          table.decode(index, 0, columns, values);
        if (const float scale = lookups[i].table.scale; scale != 1)
          kernels_.scale(values, scale, columns, values);
        if (i > 0) kernels_.add(x.row(t), row, columns, x.row(t));
      }
  });
  return x;
}

Tensor CpuOps::all_rows(const Embedding& table) {
  const Weight& w = matrix(table.weight, table.rows, table.columns);
  Tensor x = workspace_.arena.tensor(table.rows, table.columns);
  for (int64_t r = 0; r < table.rows; ++r) w.decode(r, 0, table.columns, x.row(r));
  return x;
}

CpuOps::RowNorm CpuOps::resolve(const LayerNorm& norm, int64_t columns) {
  if (norm.kind == NormKind::affine)
    throw Error(ErrorCode::internal, "cpu engine: an affine function is no norm of rows");
  RowNorm resolved{vector(norm.weight, columns), nullptr, norm.epsilon, norm.kind == NormKind::layer};
  if (norm.kind == NormKind::rms_one_plus) {
    resolved.gains = workspace_.arena.tensor(1, columns);
    float* gains = resolved.gains->row(0);
    for (int64_t i = 0; i < columns; ++i) gains[i] = gain(norm.kind, resolved.weight[i]);
    resolved.weight = gains;
  }
  if (norm.bias != kNoWeight) {
    resolved.bias = vector(norm.bias, columns);
    return resolved;
  }
  if (static_cast<int64_t>(workspace_.zeros.size()) < columns)
    workspace_.zeros.resize(static_cast<size_t>(columns));
  resolved.bias = workspace_.zeros.data();
  return resolved;
}

Tensor CpuOps::affine(const Tensor& a, const Tensor* b, const LayerNorm& norm) {
  const float *weight = vector(norm.weight, a.columns()), *bias = vector(norm.bias, a.columns());
  Tensor y = workspace_.arena.tensor(a.rows(), a.columns());
  add_operand(y);
  loop_rows(a.rows(), [&](int64_t first, int64_t rows, int) {
    for (int64_t m = first; m < first + rows; ++m) {
      const float* x = a.row(m);
      if (b != nullptr) {
        kernels_.add(x, b->row(m), a.columns(), y.row(m));
        x = y.row(m);
      }
      kernels_.multiply(x, weight, a.columns(), y.row(m));
      kernels_.add(y.row(m), bias, a.columns(), y.row(m));
    }
    if (y.has_operand()) quantize_activations(y, first, rows);
  });
  return y;
}

Tensor CpuOps::layer_norm(const Tensor& a, const Tensor* b, const LayerNorm& norm) {
  if (norm.kind == NormKind::affine) return affine(a, b, norm);
  const RowNorm row = resolve(norm, a.columns());
  Tensor y = workspace_.arena.tensor(a.rows(), a.columns());
  add_operand(y);
  loop_rows(a.rows(), [&](int64_t first, int64_t rows, int) {
    for (int64_t m = first; m < first + rows; ++m)
      kernels_.norm(a.row(m), b == nullptr ? nullptr : b->row(m), row.weight, row.bias, row.epsilon,
                    row.centered, a.columns(), y.row(m));
    if (y.has_operand()) quantize_activations(y, first, rows);
  });
  return y;
}

Tensor CpuOps::take(const Tensor& x, std::span<const int32_t> rows) {
  Tensor y = workspace_.arena.tensor(static_cast<int64_t>(rows.size()), x.columns());
  for (int64_t m = 0; m < y.rows(); ++m)
    std::copy_n(x.row(rows[static_cast<size_t>(m)]), x.columns(), y.row(m));
  return y;
}

// sentence_transformers' Pooling. Skipped tokens of a prompt count only for the positions of weighted_mean.
// If no other token is left, sums are 0 and the maximum is -infinity, as in sentence_transformers.
Tensor CpuOps::pool(const Tensor& x, PoolingKind kind, const Batch& batch) {
  const int64_t columns = x.columns();
  Tensor y = workspace_.arena.tensor(batch.rows(OutputRows::texts), columns);
  loop(y.rows(), [&](int64_t r, int) {
    float* out = y.row(r);
    const PooledTokens part = batch.pooled(r);
    const int64_t start = batch.offsets[static_cast<size_t>(part.text)], skip = part.begin - start,
                  length = part.end - start;
    const bool maximum = kind == PoolingKind::max;
    std::fill_n(out, columns, maximum ? -std::numeric_limits<float>::infinity() : 0.0f);
    if (kind == PoolingKind::cls) {
      std::copy_n(x.row(start + (skip < length ? skip : 0)), columns, out);
      return;
    }
    if (skip == length) return;
    if (kind == PoolingKind::last_token) {
      std::copy_n(x.row(start + length - 1), columns, out);
      return;
    }
    float weights = 0;
    for (int64_t t = skip; t < length; ++t) {
      const float* row = x.row(start + t);
      const float w = kind == PoolingKind::weighted_mean ? static_cast<float>(t + 1) : 1.0f;
      weights += w;
      if (maximum)
        kernels_.max_into(row, columns, out);
      else
        kernels_.add_scaled(row, w, columns, out);
    }
    if (kind == PoolingKind::mean || kind == PoolingKind::weighted_mean)
      kernels_.scale(out, 1 / weights, columns, out);
    if (kind == PoolingKind::mean_sqrt_len) kernels_.scale(out, 1 / std::sqrt(weights), columns, out);
  });
  return y;
}

Tensor CpuOps::concatenate(const std::vector<Tensor>& parts) {
  int64_t columns = 0;
  for (const Tensor& p : parts) columns += p.columns();
  Tensor y = workspace_.arena.tensor(parts[0].rows(), columns);
  int64_t first = 0;
  for (const Tensor& p : parts) {
    for (int64_t m = 0; m < y.rows(); ++m) std::copy_n(p.row(m), p.columns(), y.row(m) + first);
    first += p.columns();
  }
  return y;
}

Tensor CpuOps::add(const Tensor& a, const Tensor& b) {
  Tensor y = workspace_.arena.tensor(a.rows(), a.columns());
  loop_rows(a.rows(), [&](int64_t first, int64_t rows, int) {
    for (int64_t m = first; m < first + rows; ++m) kernels_.add(a.row(m), b.row(m), a.columns(), y.row(m));
  });
  return y;
}

Tensor CpuOps::add_bias(const Tensor& x, const RowBias& bias) {
  const float* values = vector(bias.weight, x.columns());
  Tensor y = workspace_.arena.tensor(x.rows(), x.columns());
  loop_rows(x.rows(), [&](int64_t first, int64_t rows, int) {
    for (int64_t m = first; m < first + rows; ++m) kernels_.add(x.row(m), values, x.columns(), y.row(m));
  });
  return y;
}

Tensor CpuOps::columns(const Tensor& x, int64_t first, int64_t count) {
  Tensor y = workspace_.arena.tensor(x.rows(), count);
  for (int64_t m = 0; m < x.rows(); ++m) std::copy_n(x.row(m) + first, count, y.row(m));
  return y;
}

// A unit of work is some columns of the table, decoded row by row. A sum over rows has their order.
Tensor CpuOps::weighted_rows(const Tensor& x, const Embedding& table) {
  constexpr int64_t kColumns = 256;  // of a unit; a multiple of every group size
  const Weight& w = matrix(table.weight, table.rows, table.columns);
  Tensor y = workspace_.arena.tensor(x.rows(), table.columns);
  loop((table.columns + kColumns - 1) / kColumns, [&](int64_t unit, int slot) {
    const int64_t first = unit * kColumns, count = std::min(kColumns, table.columns - first);
    float* row = scratch(slot, kColumns);
    for (int64_t m = 0; m < x.rows(); ++m) std::fill_n(y.row(m) + first, count, 0.0f);
    for (int64_t k = 0; k < table.rows; ++k) {
      w.decode(k, first, count, row);
      for (int64_t m = 0; m < x.rows(); ++m) kernels_.add_scaled(row, x.row(m)[k], count, y.row(m) + first);
    }
  });
  return y;
}

// Of one column a text as a rule: not worth a kernel.
Tensor CpuOps::subtract(const Tensor& a, const Tensor& b) {
  Tensor y = workspace_.arena.tensor(a.rows(), a.columns());
  for (int64_t m = 0; m < a.rows(); ++m)
    for (int64_t n = 0; n < a.columns(); ++n) y.row(m)[n] = a.row(m)[n] - b.row(m)[n];
  return y;
}

Tensor CpuOps::multiply(const Tensor& a, const Tensor& b) {
  Tensor y = workspace_.arena.tensor(a.rows(), a.columns());
  loop_rows(a.rows(), [&](int64_t first, int64_t rows, int) {
    for (int64_t m = first; m < first + rows; ++m)
      kernels_.multiply(a.row(m), b.row(m), a.columns(), y.row(m));
  });
  return y;
}

Tensor CpuOps::normalize(const Tensor& x) {
  Tensor y = workspace_.arena.tensor(x.rows(), x.columns());
  for (int64_t m = 0; m < x.rows(); ++m) kernels_.normalize(x.row(m), x.columns(), y.row(m));
  return y;
}

Matrix CpuOps::to_host(const Tensor& x) const {
  Matrix m{x.rows(), x.columns(), {}};
  if (!workspace_.read.empty()) {
    m.values = std::move(workspace_.read.back());
    workspace_.read.pop_back();
  }
  m.values.resize(static_cast<size_t>(m.rows * m.columns));
  for (int64_t i = 0; i < m.rows; ++i) std::copy_n(x.row(i), m.columns, m.values.data() + i * m.columns);
  return m;
}

}  // namespace mlxe::cpu
