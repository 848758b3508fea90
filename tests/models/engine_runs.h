// Functions shared by the tests of the cpu engine with all types of activations.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "base/cpu_features.h"
#include "larger_error.h"
#include "models/tiny_bert.h"
#include "own_program.h"

namespace mlxe::test {

// Every group size divides both widths. Two layers, so that the second reads the first one's output.
inline constexpr BertConfig kEven{.vocab_size = 61,
                                  .hidden_size = 128,
                                  .layers = 2,
                                  .heads = 4,
                                  .intermediate_size = 384,
                                  .max_positions = 512,
                                  .type_vocab_size = 2,
                                  .layer_norm_epsilon = 1e-12f,
                                  .activation = Activation::gelu_erf};

inline RunResult run(const TinyBert& bert, Engine& engine, const Batch& batch) {
  RunResult result;
  engine.run(
      bert.model,
      {.batch = batch, .wanted = {Output::layers, Output::hidden, Output::pooled, Output::text_logits}},
      result);
  return result;
}

inline void expect_same_bits(const Matrix& a, int64_t a_row, const Matrix& b, int64_t b_row, int64_t rows,
                             const std::string& what) {
  ASSERT_EQ(a.columns, b.columns) << what;
  const auto bytes = static_cast<size_t>(rows * a.columns) * sizeof(float);
  EXPECT_EQ(std::memcmp(a.values.data() + a_row * a.columns, b.values.data() + b_row * b.columns, bytes), 0)
      << what;
}

// Expects the rows of text b in `all` to equal all rows of `one`.
inline void expect_text_is(const RunResult& one, const RunResult& all, const Batch& batch, int64_t b,
                           const std::string& what) {
  const int64_t row = batch.offsets[static_cast<size_t>(b)], n = batch.length(b);
  for (size_t l = 0; l < one.layers.size(); ++l)
    expect_same_bits(one.layers[l], 0, all.layers[l], row, n, what + " layer " + std::to_string(l));
  expect_same_bits(one[Output::hidden], 0, all[Output::hidden], row, n, what + " hidden");
  expect_same_bits(one[Output::pooled], 0, all[Output::pooled], b, 1, what + " pooler");
  expect_same_bits(one[Output::text_logits], 0, all[Output::text_logits], b, 1, what + " logits");
}

inline std::vector<Scheme> quantized_schemes() {
  std::vector<Scheme> schemes;
  for (int bits : {2, 3, 4, 5, 6, 8})
    for (int group : {32, 64, 128}) schemes.push_back({Mode::affine, bits, group, Dtype::f16});
  schemes.push_back({Mode::affine, 8, 64, Dtype::f32});
  schemes.push_back({Mode::affine, 4, 64, Dtype::bf16});
  schemes.push_back({Mode::mxfp4, 4, 32, Dtype::f16});
  schemes.push_back({Mode::nvfp4, 4, 16, Dtype::f16});
  schemes.push_back({Mode::int8, 8, 0, Dtype::f16});
  return schemes;
}

// The largest 1 - cosine between a token's vector and the naive one, over all layers.
inline double worst_angle(const TinyBert& bert, const RunResult& result, const Batch& batch) {
  const naive::Bert naive = bert.naive();
  double worst = 0;
  for (int64_t b = 0; b < batch.texts(); ++b) {
    const Batch one = single(batch, b);
    const std::vector<naive::Mat> expected = naive(one.ids, one.token_types);
    for (size_t l = 0; l < expected.size(); ++l) {
      const int64_t columns = expected[l].columns;
      for (int64_t t = 0; t < expected[l].rows; ++t) {
        const int64_t row = batch.offsets[static_cast<size_t>(b)] + t;
        double ab = 0, aa = 0, bb = 0;
        for (int64_t i = 0; i < columns; ++i) {
          const double x = expected[l].at(t, i);
          const double y = result.layers[l].values[static_cast<size_t>(row * columns + i)];
          ab += x * y, aa += x * x, bb += y * y;
        }
        worst = larger_error(worst, 1 - ab / std::sqrt(aa * bb));
      }
    }
  }
  return worst;
}

// Changes the scales of the first output column of the last product by a factor of at least 2. The model
// reads the returned bytes.
inline std::vector<std::byte> damage_last_scales(TinyBert& bert) {
  StoredWeight& w = bert.stored("encoder.layer.1.output.dense.weight");
  std::vector<std::byte> damaged(w.scales.begin(), w.scales.end());
  const size_t size = w.scheme.mode == Mode::int8 ? 4 : w.scheme.mode == Mode::affine ? size_of(w.dtype) : 1;
  const size_t row = damaged.size() / static_cast<size_t>(w.shape[0]);
  for (size_t i = size - 1; i < row; i += size) damaged[i] ^= size == 1 ? std::byte{0x10} : std::byte{0x08};
  w.scales = damaged;
  return damaged;
}

// Runs texts of these lengths, each alone and all in one batch, on 1 to 7 threads.
inline void expect_same_bits_alone_and_together(const Scheme& scheme, const std::vector<int64_t>& lengths,
                                                Activations activations) {
  TinyBert bert(kEven, scheme);
  const Batch batch = random_batch(kEven, lengths);
  std::vector<RunResult> alone;
  for (int threads : {1, 2, 3, 7}) {
    const auto engine = make_cpu_engine({.threads = threads, .activations = activations});
    bert.add_to(*engine);
    const RunResult together = run(bert, *engine, batch);
    for (int64_t b = 0; b < batch.texts(); ++b) {
      const std::string what =
          to_string(scheme) + ", " + std::to_string(threads) + " threads, text " + std::to_string(b);
      const RunResult one = run(bert, *engine, single(batch, b));
      if (threads == 1) alone.push_back(one);
      const RunResult& first = alone[static_cast<size_t>(b)];
      expect_text_is(first, together, batch, b, what);
      expect_text_is(first, one, single(batch, b), 0, what + " alone");
    }
  }
}

// Heads that read only the first token give the same bits whether or not all tokens' vectors are computed.
inline void expect_first_token_heads_keep_their_bits(const Scheme& scheme, Activations activations) {
  TinyBert bert(kEven, scheme);
  bert.set_pipeline({PoolingSpec{{PoolingKind::cls}}, NormalizeSpec{}});
  const auto engine = make_cpu_engine({.threads = 2, .activations = activations});
  bert.add_to(*engine);
  RunRequest request{.batch = random_batch(kEven, {33, 1, 2, 129, 31, 5, 64, 300}),
                     .wanted = {Output::hidden, Output::pooled, Output::sentence, Output::text_logits}};
  RunResult all, heads;
  engine->run(bert.model, request, all);
  request.wanted.remove(Output::hidden);
  engine->run(bert.model, request, heads);
  EXPECT_EQ(heads[Output::hidden].rows, 0);
  EXPECT_EQ(heads[Output::pooled].values, all[Output::pooled].values);
  EXPECT_EQ(heads[Output::sentence].values, all[Output::sentence].values);
  EXPECT_EQ(heads[Output::text_logits].values, all[Output::text_logits].values);
  // Skipping a prompt, and other poolings, read other tokens than the first.
  request.batch.pool_from[3] = 2;
  engine->run(bert.model, request, heads);
  EXPECT_NE(heads[Output::sentence].values, all[Output::sentence].values);
  bert.set_pipeline({PoolingSpec{{PoolingKind::cls, PoolingKind::mean}}, NormalizeSpec{}});
  RunResult hidden_too;
  engine->run(bert.model, request, heads);
  request.wanted.add(Output::hidden);
  engine->run(bert.model, request, hidden_too);
  EXPECT_EQ(heads[Output::sentence].values, hidden_too[Output::sentence].values);
}

// A scheme as part of a test's name.
inline std::string scheme_name(const testing::TestParamInfo<Scheme>& parameter) {
  std::string text = to_string(parameter.param);
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return !std::isalnum(c); }, '_');
  return text;
}

#ifdef __linux__
// Runs this program's tests that match `filter` with each other variant, in processes of their own.
inline void expect_other_variants_pass(const std::string& filter) {
  for (Isa isa : runnable_variants()) {
    if (isa == active_variant()) continue;
    const std::string command = std::string("MLXE_CPU=") + name(isa) + " " + own_program() +
                                " --gtest_filter='" + filter + "' --gtest_brief=1 2>&1";
    FILE* child = ::popen(command.c_str(), "r");
    std::string text;
    char part[4096];
    for (size_t n; (n = std::fread(part, 1, sizeof part, child)) > 0;) text.append(part, n);
    EXPECT_EQ(::pclose(child), 0) << name(isa) << ":\n" << text;
    EXPECT_THAT(text, testing::HasSubstr("PASSED"));
  }
}
#endif

}  // namespace mlxe::test
