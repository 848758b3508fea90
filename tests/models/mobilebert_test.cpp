// MobileBERT's config keys, and its tokens' neighbours.
#include "models/mobilebert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "models/run_plan.h"
#include "test_files.h"

namespace mlxe::test::mobilebert_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(MobileBert, OtherVariantsAreRefused) {
  const auto refusal = [](const nlohmann::json& changes, ErrorCode code) {
    nlohmann::json json{{"num_hidden_layers", 1}, {"model_type", "mobilebert"}};
    json.update(changes);
    return error_text([&] { make_mobilebert(Config::parse(json.dump(), "config.json")); }, code);
  };
  for (const nlohmann::json& other :
       {nlohmann::json{{"trigram_input", false}}, nlohmann::json{{"use_bottleneck", false}},
        nlohmann::json{{"use_bottleneck_attention", true}},
        nlohmann::json{{"key_query_shared_bottleneck", false}},
        nlohmann::json{{"normalization_type", "layer_norm"}},
        nlohmann::json{{"classifier_activation", false}}})
    EXPECT_THAT(refusal(other, ErrorCode::unsupported),
                HasSubstr("the MobileBERT of google/mobilebert-uncased"))
        << other;
  EXPECT_THAT(refusal({{"num_attention_heads", 5}}, ErrorCode::format),
              HasSubstr("\"intra_bottleneck_size\" is 128, which \"num_attention_heads\" 5 does not divide"));
}

TEST(MobileBert, NeighboursAreOfTheSameText) {
  Batch batch;
  batch.append(std::vector<int32_t>{5, 6, 7});
  batch.append(std::vector<int32_t>{8});
  batch.append(std::vector<int32_t>{9, 10});
  EXPECT_THAT(rows_of(batch, RowIndex::next_ids, Plan{}), ElementsAre(6, 7, kNoRow, kNoRow, 10, kNoRow));
  EXPECT_THAT(rows_of(batch, RowIndex::previous_ids, Plan{}), ElementsAre(kNoRow, 5, 6, kNoRow, kNoRow, 9));
}

TEST(MobileBert, OnlyNeighboursMayBeAbsent) {
  const std::vector<int32_t> rows{0, kNoRow};
  EXPECT_NO_THROW(check_rows({.table = {}, .rows = rows, .gaps = true}, 1, "words"));
  EXPECT_THAT(error_text([&] { check_rows({.table = {}, .rows = rows}, 1, "words"); }, ErrorCode::format),
              HasSubstr("words: index -1 is out of range (1 rows)"));
}

}  // namespace
}  // namespace mlxe::test::mobilebert_test
