// What the tests of the cpu engine share, with float32 and with 8-bit activations.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>

#include "base/cpu_features.h"
#include "models/tiny_bert.h"
#include "own_program.h"

namespace mlxe::test {

// Every group size divides both widths; two layers, so that the second sees what the first made.
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
  engine.run(bert.model, {.batch = batch, .layers = true, .hidden = true, .pooler = true, .logits = true},
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

// Row range of a text in `all` against the whole of `one`.
inline void expect_text_is(const RunResult& one, const RunResult& all, const Batch& batch, int64_t b,
                           const std::string& what) {
  const int64_t row = batch.offsets[static_cast<size_t>(b)], n = batch.length(b);
  for (size_t l = 0; l < one.layers.size(); ++l)
    expect_same_bits(one.layers[l], 0, all.layers[l], row, n, what + " layer " + std::to_string(l));
  expect_same_bits(one.hidden, 0, all.hidden, row, n, what + " hidden");
  expect_same_bits(one.pooler, 0, all.pooler, b, 1, what + " pooler");
  expect_same_bits(one.logits, 0, all.logits, b, 1, what + " logits");
}

// A scheme as part of a test's name.
inline std::string scheme_name(const testing::TestParamInfo<Scheme>& parameter) {
  std::string text = to_string(parameter.param);
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return !std::isalnum(c); }, '_');
  return text;
}

#ifdef __linux__
// This program's tests of that filter once more with each other variant, in processes of their own.
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
