#include "metrics/kolmogorov_smirnov.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "test_files.h"

namespace mlxe::kolmogorov_smirnov_test {
namespace {

using Values = std::vector<double>;

// D is a quotient of counts. p: at most 2000 factors, each rounded to 2^-53, stay within 1e-12 of the exact
// sum; the difference of alternating terms, each at most 1, loses no more. scipy's own tolerance is 1e-9.
TEST(KolmogorovSmirnov, is_scipys) {
  const auto cases = nlohmann::json::parse(test::read_file(MLXE_TEST_DATA "/metrics/drift.json"));
  ASSERT_EQ(cases.size(), 10u);
  for (const auto& c : cases) {
    const auto a = c["a"].get<Values>(), b = c["b"].get<Values>();
    const KolmogorovSmirnov test = kolmogorov_smirnov(a, b);
    EXPECT_NEAR(test.statistic, c["statistic"].get<double>(), 1e-12) << a.size();
    EXPECT_NEAR(test.p, c["p"].get<double>(), 1e-9) << a.size();
  }
}

TEST(KolmogorovSmirnov, one_value_moved_is_seen) {
  const auto cases = nlohmann::json::parse(test::read_file(MLXE_TEST_DATA "/metrics/drift.json"));
  auto a = cases[4]["a"].get<Values>(), b = cases[4]["b"].get<Values>();
  const KolmogorovSmirnov before = kolmogorov_smirnov(a, b);
  for (size_t i = 0; i < 4; ++i) b[i] += 10;
  EXPECT_GT(kolmogorov_smirnov(a, b).statistic, before.statistic + 0.02);
  EXPECT_LT(kolmogorov_smirnov(a, b).p, before.p);
}

TEST(KolmogorovSmirnov, equal_samples_and_samples_apart) {
  const Values a{1, 2, 2, 3}, b{11, 12, 12, 13};
  EXPECT_EQ(kolmogorov_smirnov(a, a).statistic, 0);
  EXPECT_EQ(kolmogorov_smirnov(a, a).p, 1);
  EXPECT_EQ(kolmogorov_smirnov(a, b).statistic, 1);
  EXPECT_NEAR(kolmogorov_smirnov(a, b).p, 2.0 / 70, 1e-15);  // 2 of C(8, 4) orders
  EXPECT_EQ(kolmogorov_smirnov(Values(100'000, 1.0), Values(100'000, 2.0)).p, 0);
}

TEST(KolmogorovSmirnov, other_sizes_and_nan_are_refused) {
  test::error_text([] { kolmogorov_smirnov(Values{1}, Values{1, 2}); }, ErrorCode::usage);
  test::error_text([] { kolmogorov_smirnov({}, {}); }, ErrorCode::usage);
  test::error_text([] { kolmogorov_smirnov(Values{1}, Values{std::nan("")}); }, ErrorCode::numeric);
}

}  // namespace
}  // namespace mlxe::kolmogorov_smirnov_test
