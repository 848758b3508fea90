// A text's results must not depend on the other texts of its batch or on its position. On a CPU, to the bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "golden.h"

namespace mlxe::batch_test {
namespace {

using test::Golden;
using test::Running;

// The texts of `all` in another order (or some of them).
Batch chosen(const Batch& all, const std::vector<int64_t>& texts) {
  Batch batch;
  for (int64_t b : texts) {
    const auto first = static_cast<size_t>(all.offsets[b]), length = static_cast<size_t>(all.length(b));
    batch.append(std::span(all.ids).subspan(first, length), std::span(all.token_types).subspan(first, length),
                 all.pool_from[b]);
    for (const int32_t token : all.chosen)
      if (token >= all.offsets[b] && token < all.offsets[b + 1])
        batch.chosen.push_back(token - all.offsets[b] +
                               batch.offsets[static_cast<size_t>(batch.texts() - 1)]);
  }
  return batch;
}

struct Rows {
  OutputRows kind;
  const Matrix* matrix;
};

// Rows of a result that belong to one text: those of its tokens or of its chosen tokens, or its own.
std::vector<float> rows_of(const Rows& rows, const Batch& batch, int64_t text) {
  const Matrix& m = *rows.matrix;
  const int64_t first = batch.rows_before(rows.kind, text), past = batch.rows_before(rows.kind, text + 1);
  return {m.values.begin() + first * m.columns, m.values.begin() + past * m.columns};
}

std::vector<Rows> matrices(const RunResult& r) {
  std::vector<Rows> all;
  r.each([&](Output output, const Matrix& m) {
    if (m.columns > 0) all.push_back({entry(output).rows, &m});
  });
  return all;
}

// Largest difference relative to the largest value, over all results of text `a` of one run and `b` of
// another.
double text_difference(const RunResult& x, const Batch& in_x, int64_t a, const RunResult& y,
                       const Batch& in_y, int64_t b) {
  const auto left = matrices(x), right = matrices(y);
  EXPECT_EQ(left.size(), right.size());
  double worst = 0;
  for (size_t i = 0; i < left.size(); ++i) {
    const std::vector<float> u = rows_of(left[i], in_x, a), v = rows_of(right[i], in_y, b);
    const auto row = [](const std::vector<float>& r) {
      return Matrix{1, static_cast<int64_t>(r.size()), {r.begin(), r.end()}};
    };
    const Matrix found = row(u), expected = row(v);
    worst = std::max(worst, test::difference("", found, expected).relative);
  }
  return worst;
}

RunRequest everything(const Model& model, Batch batch) {
  RunRequest request{.batch = std::move(batch)};
  for (const OutputEntry& o : kOutputTable)
    if (model.has(o.output)) request.wanted.add(o.output);
  return request;
}

// On a GPU, MLX chooses its blocking by shape, so that results agree only up to rounding. Each run is
// within 4e-6 of the exact result (golden.h), so two runs are within 8e-6.
double allowed(const EngineInfo& info) {
  const bool exact = info.engine == "cpu" || info.variant.find("cpu device") != std::string::npos;
  return exact ? 0 : 8e-6;
}

class BatchOfTexts : public ::testing::TestWithParam<test::EngineAndFolder> {
 protected:
  void SetUp() override {
    const std::string engine = std::get<0>(GetParam()), name = std::get<1>(GetParam());
    std::string why_not;
    std::unique_ptr<Engine> made = test::make_engine(engine, why_not);
    if (!made) GTEST_SKIP() << why_not;
    allowed_ = allowed(made->info());
    std::filesystem::path folder = test::kTinyFolders / name, golden = folder;
    if (name == "minilm") {
      folder = test::minilm_folder();
      golden = std::filesystem::path(MLXE_TEST_DATA) / "minilm";
      if (folder.empty()) GTEST_SKIP() << test::kNoMiniLm;
    }
    model_ = std::make_unique<Running>(folder, std::move(made));
    batch_ = Golden(golden).batch("");
    together_ = run(batch_);
  }
  RunResult run(const Batch& batch) { return model_->run(everything(model_->loaded.model, batch)); }

  double allowed_ = 0;
  std::unique_ptr<Running> model_;
  Batch batch_;
  RunResult together_;
};

TEST_P(BatchOfTexts, GivesWhatEachTextAloneGives) {
  for (int64_t b = 0; b < batch_.texts(); ++b) {
    const Batch alone = chosen(batch_, {b});
    EXPECT_LE(text_difference(together_, batch_, b, run(alone), alone, 0), allowed_)
        << "text " << b << " of " << batch_.length(b) << " tokens";
  }
}

TEST_P(BatchOfTexts, GivesTheSameInAnyOrder) {
  std::vector<int64_t> order(static_cast<size_t>(batch_.texts()));
  std::iota(order.begin(), order.end(), 0);
  for (int turn = 0; turn < 3; ++turn) {
    std::rotate(order.begin(), order.begin() + 2, order.end());
    if (turn == 1) std::reverse(order.begin(), order.end());
    const Batch permuted = chosen(batch_, order);
    const RunResult result = run(permuted);
    for (size_t at = 0; at < order.size(); ++at)
      EXPECT_LE(text_difference(together_, batch_, order[at], result, permuted, static_cast<int64_t>(at)),
                allowed_)
          << "text " << order[at];
  }
}

TEST_P(BatchOfTexts, GivesTheSameTwice) {
  const RunResult again = run(batch_);
  for (int64_t b = 0; b < batch_.texts(); ++b)
    EXPECT_EQ(text_difference(together_, batch_, b, again, batch_, b), 0) << "text " << b;
}

INSTANTIATE_TEST_SUITE_P(
    Models, BatchOfTexts,
    ::testing::Combine(::testing::Values("cpu", "mlx"),
                       ::testing::Values("bert", "bert_odd", "bert_prefix", "distilbert_cls", "roberta",
                                         "xlm_roberta_cls", "bert_mlm", "splade", "splade_distil", "st_dense",
                                         "st_concat", "bart_cls", "mbart_cls", "minilm")),
    test::name_of);

// The twin: the comparison of these tests notices one bit.
TEST(BatchTwin, OneBitIsNoticed) {
  const std::filesystem::path folder = test::kTinyFolders / "bert";
  const Batch batch = Golden(folder).batch("");
  Running model(folder, make_cpu_engine({}));
  const RunResult expected = model.run(everything(model.loaded.model, batch));
  RunResult found = expected;
  float& value =
      found.layers.back().values[static_cast<size_t>(batch.offsets[2] * found[Output::hidden].columns)];
  value = std::nextafter(value, 100.0f);
  EXPECT_GT(text_difference(found, batch, 2, expected, batch, 2), 0);
  EXPECT_EQ(text_difference(found, batch, 1, expected, batch, 1), 0);
}

}  // namespace
}  // namespace mlxe::batch_test
