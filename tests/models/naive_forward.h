// A reference for the engines: BERT and its heads in double precision, as the papers define them. Shares no
// code with the engines. Formulas: Devlin et al. 2018 (BERT), Ba et al. 2016 (layer norm), Hendrycks and
// Gimpel 2016 (GELU). Names and epsilon as in transformers' modeling_bert.py.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace mlxe::naive {

struct Mat {
  int64_t rows = 0, columns = 0;
  std::vector<double> v;

  Mat() = default;
  Mat(int64_t r, int64_t c) : rows(r), columns(c), v(static_cast<size_t>(r * c)) {}
  double& at(int64_t r, int64_t c) { return v[static_cast<size_t>(r * columns + c)]; }
  double at(int64_t r, int64_t c) const { return v[static_cast<size_t>(r * columns + c)]; }
};

using Weights = std::map<std::string, Mat>;  // by checkpoint name; vectors are one row

inline Mat linear(const Mat& x, const Mat& w, const Mat& b) {
  Mat y(x.rows, w.rows);
  for (int64_t m = 0; m < x.rows; ++m)
    for (int64_t n = 0; n < w.rows; ++n) {
      double sum = b.v.empty() ? 0 : b.at(0, n);
      for (int64_t k = 0; k < w.columns; ++k) sum += x.at(m, k) * w.at(n, k);
      y.at(m, n) = sum;
    }
  return y;
}

inline Mat linear(const Mat& x, const Weights& w, const std::string& prefix) {
  return linear(x, w.at(prefix + ".weight"), w.at(prefix + ".bias"));
}

inline Mat add(Mat a, const Mat& b) {
  for (size_t i = 0; i < a.v.size(); ++i) a.v[i] += b.v[i];
  return a;
}

inline Mat layer_norm(Mat x, const Weights& w, const std::string& prefix, double epsilon) {
  const Mat &scale = w.at(prefix + ".weight"), &shift = w.at(prefix + ".bias");
  for (int64_t m = 0; m < x.rows; ++m) {
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < x.columns; ++i) mean += x.at(m, i);
    mean /= static_cast<double>(x.columns);
    for (int64_t i = 0; i < x.columns; ++i) variance += (x.at(m, i) - mean) * (x.at(m, i) - mean);
    variance /= static_cast<double>(x.columns);
    for (int64_t i = 0; i < x.columns; ++i)
      x.at(m, i) = (x.at(m, i) - mean) / std::sqrt(variance + epsilon) * scale.at(0, i) + shift.at(0, i);
  }
  return x;
}

inline Mat apply(Mat x, const std::function<double(double)>& f) {
  for (double& v : x.v) v = f(v);
  return x;
}

inline double gelu(double x) {
  return x * std::erfc(-x / std::sqrt(2.0)) / 2;
}

// Zhang and Sennrich 2019 (RMS norm), of each row.
inline Mat rms_norm(Mat x, const Mat& scale, double epsilon) {
  for (int64_t m = 0; m < x.rows; ++m) {
    double squares = 0;
    for (int64_t i = 0; i < x.columns; ++i) squares += x.at(m, i) * x.at(m, i);
    const double length = std::sqrt(squares / static_cast<double>(x.columns) + epsilon);
    for (int64_t i = 0; i < x.columns; ++i) x.at(m, i) = x.at(m, i) / length * scale.at(0, i);
  }
  return x;
}

// Columns [first, first + count) of each row.
inline Mat columns_of(const Mat& x, int64_t first, int64_t count) {
  Mat y(x.rows, count);
  for (int64_t m = 0; m < x.rows; ++m)
    for (int64_t i = 0; i < count; ++i) y.at(m, i) = x.at(m, first + i);
  return y;
}

// Su et al. 2021, with the pairs of GPT-NeoX: columns i and i + n/2.
inline Mat rotated(const Mat& x, double base, double scale) {
  Mat y = x;
  const int64_t half = x.columns / 2;
  for (int64_t m = 0; m < x.rows; ++m)
    for (int64_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(m) * scale *
                           std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(x.columns));
      y.at(m, i) = x.at(m, i) * std::cos(angle) - x.at(m, i + half) * std::sin(angle);
      y.at(m, i + half) = x.at(m, i + half) * std::cos(angle) + x.at(m, i) * std::sin(angle);
    }
  return y;
}

struct AttentionKind {
  int64_t heads, kv_heads;  // consecutive heads share keys and values (Ainslie et al. 2023)
  bool causal = false;
  int64_t window = 0;                  // 0: none
  double rotary_base = 0;              // 0: none
  double rotary_scale = 1;             // of positions
  double scale = 0;                    // 0: 1 / sqrt(columns of a head)
  Mat query_norm = {}, key_norm = {};  // empty: none
  double epsilon = 0;
  // He et al. 2020 (DeBERTa): tables with a row for each bucket of distances from a key to a query; empty: not that term.
  Mat position_keys = {}, position_queries = {};
  std::function<int64_t(int64_t)> key_row = {}, query_row = {};  // of a distance, in each table
  std::vector<double> slopes = {};                               // of the heads' linear biases; empty: none
};

// Press et al. 2022 (ALiBi), as in the authors' code: a geometric sequence for powers of two. Other counts of heads take
// the sequence of the power below, then every other slope of the power above.
inline std::vector<double> alibi_slopes(int64_t heads) {
  const double exponent = std::log2(static_cast<double>(heads));
  std::vector<double> slopes;
  if (exponent == std::floor(exponent)) {
    const double first = std::pow(2, -std::pow(2, 3 - exponent));
    for (double slope = first; std::ssize(slopes) < heads; slope *= first) slopes.push_back(slope);
    return slopes;
  }
  const auto below = static_cast<int64_t>(std::pow(2, std::floor(exponent)));
  slopes = alibi_slopes(below);
  const std::vector<double> finer = alibi_slopes(2 * below);
  for (size_t i = 0; std::ssize(slopes) < heads; i += 2) slopes.push_back(finer[i]);
  return slopes;
}

// The row for a distance in a table whose middle row, `span`, is for distance 0. Beyond half the buckets, distances are
// spaced logarithmically, up to max_distance - 1 in the last bucket. 0 buckets: each distance has a row.
inline int64_t position_row(int64_t distance, int64_t span, int64_t buckets, int64_t max_distance) {
  const double half = std::floor(static_cast<double>(buckets) / 2);
  double bucket = static_cast<double>(std::abs(distance));
  if (buckets > 0 && bucket > half)
    bucket = half + std::ceil(std::log(bucket / half) /
                              std::log(static_cast<double>(max_distance - 1) / half) * (half - 1));
  const auto row = span + static_cast<int64_t>(distance < 0 ? -bucket : bucket);
  return std::clamp<int64_t>(row, 0, 2 * span - 1);
}

// Along the rows, with zeros beyond the ends. w: a row for each channel, of [channels of a group, kernel].
inline Mat convolution(const Mat& x, const Mat& w, const Mat& b, int64_t kernel, int64_t groups) {
  const int64_t width = x.columns / groups;
  Mat y(x.rows, x.columns);
  for (int64_t t = 0; t < x.rows; ++t)
    for (int64_t o = 0; o < x.columns; ++o) {
      double sum = b.at(0, o);
      for (int64_t tap = 0; tap < kernel; ++tap) {
        const int64_t row = t + tap - kernel / 2;
        if (row < 0 || row >= x.rows) continue;
        for (int64_t c = 0; c < width; ++c)
          sum += w.at(o, c * kernel + tap) * x.at(row, o / width * width + c);
      }
      y.at(t, o) = sum;
    }
  return y;
}

inline Mat attention(const Mat& q, const Mat& k, const Mat& v, const AttentionKind& kind) {
  const int64_t size = q.columns / kind.heads, n = q.rows;
  const auto made = [&](const Mat& x, int64_t head, const Mat& norm) {
    Mat y = columns_of(x, head * size, size);
    if (!norm.v.empty()) y = rms_norm(y, norm, kind.epsilon);
    return kind.rotary_base > 0 ? rotated(y, kind.rotary_base, kind.rotary_scale) : y;
  };
  const double scale = kind.scale > 0 ? kind.scale : 1 / std::sqrt(static_cast<double>(size));
  Mat out(n, q.columns);
  for (int64_t h = 0; h < kind.heads; ++h) {
    const int64_t shared = h / (kind.heads / kind.kv_heads);
    const Mat queries = made(q, h, kind.query_norm), keys = made(k, shared, kind.key_norm);
    for (int64_t i = 0; i < n; ++i) {
      std::vector<double> p(static_cast<size_t>(n), -HUGE_VAL);
      double largest = -HUGE_VAL, sum = 0;
      for (int64_t j = 0; j < n; ++j) {
        if ((kind.causal && j > i) || (kind.window > 0 && std::abs(i - j) > kind.window)) continue;
        double dot = 0;
        for (int64_t c = 0; c < size; ++c) {
          dot += queries.at(i, c) * keys.at(j, c);
          if (!kind.position_keys.v.empty())
            dot += queries.at(i, c) * kind.position_keys.at(kind.key_row(i - j), h * size + c);
          if (!kind.position_queries.v.empty())
            dot += keys.at(j, c) * kind.position_queries.at(kind.query_row(i - j), h * size + c);
        }
        p[static_cast<size_t>(j)] = dot * scale;
        if (!kind.slopes.empty())
          p[static_cast<size_t>(j)] -=
              kind.slopes[static_cast<size_t>(h)] * static_cast<double>(std::abs(i - j));
        largest = std::max(largest, p[static_cast<size_t>(j)]);
      }
      for (double& e : p) sum += e = std::exp(e - largest);
      for (int64_t j = 0; j < n; ++j)
        for (int64_t c = 0; c < size; ++c)
          out.at(i, h * size + c) += p[static_cast<size_t>(j)] / sum * v.at(j, shared * size + c);
    }
  }
  return out;
}

struct Bert {
  const Weights& weights;
  int64_t layers, heads;
  double epsilon;
  std::function<double(double)> activation = gelu;

  // Token vectors after the embeddings and after each layer, for one text.
  std::vector<Mat> operator()(const std::vector<int32_t>& ids, const std::vector<int32_t>& types) const {
    const Mat& word = weights.at("embeddings.word_embeddings.weight");
    const Mat& position = weights.at("embeddings.position_embeddings.weight");
    const Mat& type = weights.at("embeddings.token_type_embeddings.weight");
    Mat x(static_cast<int64_t>(ids.size()), word.columns);
    for (int64_t t = 0; t < x.rows; ++t)
      for (int64_t i = 0; i < x.columns; ++i)
        x.at(t, i) = word.at(ids[static_cast<size_t>(t)], i) + position.at(t, i) +
                     type.at(types[static_cast<size_t>(t)], i);
    x = layer_norm(x, weights, "embeddings.LayerNorm", epsilon);
    std::vector<Mat> all{x};
    for (int64_t l = 0; l < layers; ++l) {
      const std::string p = "encoder.layer." + std::to_string(l) + ".";
      const Mat a = attention(
          linear(x, weights, p + "attention.self.query"), linear(x, weights, p + "attention.self.key"),
          linear(x, weights, p + "attention.self.value"), {.heads = heads, .kv_heads = heads});
      const Mat o = linear(a, weights, p + "attention.output.dense");
      x = layer_norm(add(x, o), weights, p + "attention.output.LayerNorm", epsilon);
      const Mat up = apply(linear(x, weights, p + "intermediate.dense"), activation);
      x = layer_norm(add(x, linear(up, weights, p + "output.dense")), weights, p + "output.LayerNorm",
                     epsilon);
      all.push_back(x);
    }
    return all;
  }
};

}  // namespace mlxe::naive
