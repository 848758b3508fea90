#include "calibrate/rounding.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/half.h"
#include "base/thread_pool.h"
#include "calibrate/products.h"
#include "kernels/quantize_table.h"
#include "mlx_encoder/error.h"
#include "quant/matrix.h"

namespace mlxe::calibrate {
namespace {

constexpr int kRounds = 2;  // of refit and coordinate descent
constexpr int kSweeps = 2;  // of coordinate descent over a block of rows, at most

// Codes (as floats) and groups of a block of rows.
struct Codes {
  Codes(int64_t rows, int64_t columns, int64_t group_size)
      : codes(static_cast<size_t>(rows * columns)),
        groups(static_cast<size_t>(rows * columns / group_size)) {}
  std::vector<float> codes;
  std::vector<AffineGroup> groups;
};

void store(float value, Dtype dtype, size_t index, std::vector<std::byte>& out) {
  if (dtype == Dtype::f32) {
    std::memcpy(out.data() + index * sizeof value, &value, sizeof value);
    return;
  }
  const uint16_t half = dtype == Dtype::f16 ? float_to_f16(value) : float_to_bf16(value);
  std::memcpy(out.data() + index * sizeof half, &half, sizeof half);
}

// Stores a block as the rows of the matrix from `first` on.
void store(const Codes& from, int64_t first, QuantizedMatrix& out) {
  const auto group_size = static_cast<size_t>(out.scheme.group_size), groups = from.groups.size();
  const size_t first_group = static_cast<size_t>(first * out.columns) / group_size;
  const std::vector<float> ones(groups, 1.0f), zeros(groups, 0.0f);
  const size_t row_bytes = out.codes.size() / static_cast<size_t>(out.rows);
  quantize_kernels().affine_encode(
      from.codes.data(), groups, group_size, out.scheme.bits, ones.data(), zeros.data(),
      reinterpret_cast<uint8_t*>(out.codes.data()) + static_cast<size_t>(first) * row_bytes);
  for (size_t g = 0; g < groups; ++g) {
    if (!std::isfinite(from.groups[g].scale) || !std::isfinite(from.groups[g].bias))
      throw Error(ErrorCode::numeric,
                  "row " + std::to_string(first + static_cast<int64_t>(g * group_size) / out.columns) +
                      ": a scale or bias is beyond what the dtype can hold; use --dtype bfloat16 or float32");
    store(from.groups[g].scale, out.scheme.dtype, first_group + g, out.scales);
    store(from.groups[g].bias, out.scheme.dtype, first_group + g, out.biases);
  }
}

// Quantizes a block of rows.
class RowBlock {
 public:
  RowBlock(const float* target, int64_t rows, const InputHessian& hessian, const std::vector<float>& upper,
           const Scheme& scheme)
      : target_(target),
        hessian_(hessian),
        upper_(upper),
        rows_(rows),
        n_(hessian.columns()),
        size_(scheme.group_size),
        groups_(n_ / size_),
        grid_{scheme.bits, scheme.dtype},
        at_(rows, n_, size_),
        error_(at_.codes.size()),
        gradient_(at_.codes.size()),
        cost_(static_cast<size_t>(rows)) {}

  Codes solve(const std::vector<float>& ones) {
    std::vector<float> importance(static_cast<size_t>(n_));
    for (int64_t c = 0; c < n_; ++c) importance[static_cast<size_t>(c)] = hessian_.diagonal(c);
    for (int64_t r = 0; r < rows_; ++r)
      for (int64_t g = 0; g < groups_; ++g)
        group(r, g) = fit_group(
            {target_ + r * n_ + g * size_, static_cast<size_t>(size_)},
            std::span(importance).subspan(static_cast<size_t>(g * size_), static_cast<size_t>(size_)), grid_);
    compensate();
    find_errors();
    coordinate_descent();
    for (int round = 0; round < kRounds; ++round) {
      refit(ones);
      coordinate_descent();
    }
    return std::move(at_);
  }

 private:
  float* codes(int64_t row) { return at_.codes.data() + row * n_; }
  AffineGroup& group(int64_t row, int64_t g) { return at_.groups[static_cast<size_t>(row * groups_ + g)]; }
  float* error(int64_t row) { return error_.data() + row * n_; }
  float* gradient(int64_t row) { return gradient_.data() + row * n_; }

  // GPTQ in steps of kStep columns. Within a step an error is passed on at once; to later steps, all errors of the
  // step are passed on in one matrix product.
  void compensate() {
    const Kernels& k = kernels();
    constexpr int64_t kStep = 64;
    // `wanted`: weights in the order they are rounded, plus the compensation of earlier errors. `left`: their errors.
    std::vector<float> wanted(at_.codes.size()), left(at_.codes.size());
    for (int64_t r = 0; r < rows_; ++r)
      for (int64_t i = 0; i < n_; ++i)
        wanted[static_cast<size_t>(r * n_ + i)] = target_[r * n_ + hessian_.order[static_cast<size_t>(i)]];
    for (int64_t first = 0; first < n_; first += kStep) {
      const int64_t end = std::min(n_, first + kStep);
      for (int64_t r = 0; r < rows_; ++r) {
        float* row = wanted.data() + r * n_;
        for (int64_t i = first; i < end; ++i) {
          const int64_t c = hessian_.order[static_cast<size_t>(i)];
          const AffineGroup& g = group(r, c / size_);
          const float code = nearest_code(row[i], g, grid_.last_code());
          codes(r)[c] = code;
          const float e = target_[r * n_ + c] - (code * g.scale + g.bias);
          left[static_cast<size_t>(r * n_ + i)] = e;
          k.add_scaled(upper_.data() + i * n_ + i + 1, e, end - i - 1, row + i + 1);
        }
      }
      for (int64_t c = end; c < n_; c += k.panel)
        k.matmul(left.data() + first, n_, rows_, upper_.data() + first * n_ + c, n_, end - first,
                 wanted.data() + c, n_, wanted.data() + c, n_, std::min<int64_t>(k.panel, n_ - c));
    }
  }

  void find_errors() {
    for (int64_t r = 0; r < rows_; ++r)
      for (int64_t c = 0; c < n_; ++c) {
        const AffineGroup& g = group(r, c / size_);
        error(r)[c] = target_[r * n_ + c] - (codes(r)[c] * g.scale + g.bias);
      }
  }

  // Computes error, gradient = error H and cost from the codes.
  void measure() {
    find_errors();
    hessian_.h.multiply(error_.data(), n_, rows_, 0, n_, gradient_.data());
    for (int64_t r = 0; r < rows_; ++r) {
      double sum = 0;
      for (int64_t c = 0; c < n_; ++c)
        sum += static_cast<double>(error(r)[c]) * static_cast<double>(gradient(r)[c]);
      cost_[static_cast<size_t>(r)] = sum;
    }
  }

  // Visits the columns in order. The gradient of a panel is computed when the sweep reaches the panel.
  void coordinate_descent() {
    const Kernels& k = kernels();
    const PanelMatrix& h = hessian_.h;
    const float last = grid_.last_code();
    std::vector<float> gradient(static_cast<size_t>(rows_ * h.panel()));
    bool moved = true;
    for (int sweep = 0; sweep < kSweeps && moved; ++sweep) {
      moved = false;
      for (int64_t panel = 0; panel < h.panels(); ++panel) {
        const int64_t first = panel * h.panel(), end = std::min(n_, first + h.panel());
        h.multiply(error_.data(), n_, rows_, panel, 0, n_, gradient.data(), h.panel());
        for (int64_t r = 0; r < rows_; ++r) {
          float* here = gradient.data() + r * h.panel();
          for (int64_t c = first; c < end; ++c) {
            const float scale = group(r, c / size_).scale;
            const float steps = here[c - first] / (hessian_.diagonal(c) * scale);
            if (!(std::abs(steps) > 0.5f)) continue;
            float& code = codes(r)[c];
            const float next = std::clamp(code + std::rint(steps), 0.0f, last);
            if (next == code) continue;
            const float change = (next - code) * scale;
            code = next;
            error(r)[c] -= change;
            k.add_scaled(h.row(panel, c), -change, end - first, here);
            moved = true;
          }
        }
      }
    }
  }

  // ones[g][g']: sum of H over the columns of both groups.
  void refit(const std::vector<float>& ones) {
    measure();
    const auto g2 = static_cast<size_t>(2 * groups_), g1 = static_cast<size_t>(groups_);
    std::vector<double> systems(static_cast<size_t>(rows_) * g2 * g2);
    std::vector<float> products(at_.codes.size());
    for (int64_t g = 0; g < groups_; ++g) {
      hessian_.h.multiply(at_.codes.data() + g * size_, n_, rows_, g * size_, size_, products.data());
      for (int64_t r = 0; r < rows_; ++r) {
        double* a = systems.data() + static_cast<size_t>(r) * g2 * g2;
        for (int64_t other = 0; other < groups_; ++other) {
          const float* p = products.data() + r * n_ + other * size_;
          const float* code = codes(r) + other * size_;
          double with_codes = 0, with_ones = 0;
          for (int64_t i = 0; i < size_; ++i) {
            with_codes += static_cast<double>(p[i]) * static_cast<double>(code[i]);
            with_ones += static_cast<double>(p[i]);
          }
          const auto i = static_cast<size_t>(g), j = static_cast<size_t>(other);
          a[i * g2 + j] = with_codes;
          a[i * g2 + g1 + j] = with_ones;
          a[(g1 + j) * g2 + i] = with_ones;
          a[(g1 + i) * g2 + g1 + j] = static_cast<double>(ones[i * g1 + j]);
        }
      }
    }
    const std::vector<AffineGroup> before = at_.groups;
    const std::vector<double> cost = cost_;
    for (int64_t r = 0; r < rows_; ++r) {
      std::vector<double> b(g2);
      for (int64_t c = 0; c < n_; ++c) {
        const double gradient_here = static_cast<double>(gradient(r)[c]);
        b[static_cast<size_t>(c / size_)] += gradient_here * static_cast<double>(codes(r)[c]);
        b[g1 + static_cast<size_t>(c / size_)] += gradient_here;
      }
      const std::vector<double> change =
          solve_small(std::span(systems).subspan(static_cast<size_t>(r) * g2 * g2, g2 * g2), b);
      for (int64_t g = 0; g < groups_; ++g) {
        AffineGroup& here = group(r, g);
        const auto i = static_cast<size_t>(g);
        const float scale = stored(here.scale + static_cast<float>(change[i]), grid_.dtype);
        if (scale == 0) continue;
        here = {scale, stored(here.bias + static_cast<float>(change[g1 + i]), grid_.dtype)};
      }
    }
    measure();
    bool any_worse = false;
    for (int64_t r = 0; r < rows_; ++r) {
      if (cost_[static_cast<size_t>(r)] <= cost[static_cast<size_t>(r)]) continue;
      std::copy_n(before.begin() + r * groups_, groups_, at_.groups.begin() + r * groups_);
      any_worse = true;
    }
    if (any_worse) measure();
  }

  const float* target_;
  const InputHessian& hessian_;
  const std::vector<float>& upper_;  // U of input_hessian.h
  int64_t rows_, n_, size_, groups_;
  Grid grid_;
  Codes at_;
  std::vector<float> error_, gradient_;
  std::vector<double> cost_;
};

}  // namespace

QuantizedMatrix round_groups(const std::vector<float>& weights, std::span<const float> importance,
                             const Scheme& scheme, ThreadPool& pool) {
  const auto columns = static_cast<int64_t>(importance.size());
  const int64_t rows = static_cast<int64_t>(weights.size()) / columns;
  const auto size = static_cast<size_t>(scheme.group_size);
  const Grid grid{scheme.bits, scheme.dtype};
  QuantizedMatrix out = empty_matrix(scheme, rows, columns);
  pool.parallel_for((rows + kBlockRows - 1) / kBlockRows, [&](int64_t block, int) {
    const int64_t first = block * kBlockRows, count = std::min(kBlockRows, rows - first);
    Codes codes(count, columns, scheme.group_size);
    for (size_t g = 0; g < codes.groups.size(); ++g) {
      const auto values = std::span(weights).subspan(static_cast<size_t>(first * columns) + g * size, size);
      const size_t column = g * size % static_cast<size_t>(columns);
      codes.groups[g] = fit_group(values, importance.subspan(column, size), grid);
      for (size_t i = 0; i < size; ++i)
        codes.codes[g * size + i] = nearest_code(values[i], codes.groups[g], grid.last_code());
    }
    store(codes, first, out);
  });
  return out;
}

QuantizedMatrix gptq_quantize(const std::vector<float>& target, const InputHessian& hessian,
                              const Scheme& scheme, ThreadPool& pool) {
  const int64_t n = hessian.columns(), rows = static_cast<int64_t>(target.size()) / n;
  const int64_t groups = n / scheme.group_size;
  std::vector<float> ones(static_cast<size_t>(groups * groups));
  pool.parallel_for(groups, [&](int64_t g, int) {
    for (int64_t other = 0; other < groups; ++other) {
      double sum = 0;
      for (int64_t r = g * scheme.group_size; r < (g + 1) * scheme.group_size; ++r)
        for (int64_t c = other * scheme.group_size; c < (other + 1) * scheme.group_size; ++c)
          sum += static_cast<double>(hessian.h.at(r, c));
      ones[static_cast<size_t>(g * groups + other)] = static_cast<float>(sum);
    }
  });
  const std::vector<float> upper = hessian.factors.unit_upper();
  QuantizedMatrix out = empty_matrix(scheme, rows, n);
  pool.parallel_for((rows + kBlockRows - 1) / kBlockRows, [&](int64_t block, int) {
    const int64_t first = block * kBlockRows, count = std::min(kBlockRows, rows - first);
    store(RowBlock(target.data() + first * n, count, hessian, upper, scheme).solve(ones), first, out);
  });
  return out;
}

}  // namespace mlxe::calibrate
