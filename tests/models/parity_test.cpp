// Float32 results equal to transformers' and sentence-transformers', per layer and head, on both engines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "golden.h"
#include "test_files.h"

namespace mlxe::parity_test {
namespace {

using test::Difference;
using test::Golden;
using test::Running;

void expect_parity(const std::filesystem::path& folder, const Golden& golden, const std::string& engine) {
  std::string why_not;
  std::unique_ptr<Engine> made = test::make_engine(engine, why_not);
  if (!made) GTEST_SKIP() << why_not;
  Running model(folder, std::move(made));
  const std::vector<Difference> all = test::compare_all(golden, model);
  EXPECT_GE(all.size(), 3u);
  double largest = 0;
  for (const Difference& d : all) {
    EXPECT_LE(d.relative, test::kParityTolerance) << d.what << ": " << d.place;
    largest = std::max(largest, d.relative);
  }
  ::testing::Test::RecordProperty("largest_difference", fmt::format("{:.2e}", largest));
}

class TinyParity : public ::testing::TestWithParam<test::EngineAndFolder> {};

TEST_P(TinyParity, EqualsTransformers) {
  const auto [engine, name] = GetParam();
  const std::filesystem::path folder = test::kTinyFolders / name;
  expect_parity(folder, Golden(folder), engine);
}

INSTANTIATE_TEST_SUITE_P(Models, TinyParity,
                         ::testing::Combine(::testing::Values("cpu", "mlx"),
                                            ::testing::ValuesIn(test::kTinyNames)),
                         test::name_of);

class MiniLmParity : public ::testing::TestWithParam<const char*> {};

TEST_P(MiniLmParity, EqualsTransformers) {
  const std::filesystem::path folder = test::minilm_folder();
  if (folder.empty()) GTEST_SKIP() << test::kNoMiniLm;
  expect_parity(folder, Golden(std::filesystem::path(MLXE_TEST_DATA) / "minilm"), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Models, MiniLmParity, ::testing::Values("cpu", "mlx"),
                         [](const auto& parameters) { return std::string(parameters.param); });

// The list in golden.h contains every folder.
TEST(TinyFolders, AreAllTested) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(test::kTinyFolders))
    if (entry.is_directory()) found.push_back(entry.path().filename().string());
  EXPECT_THAT(found, ::testing::UnorderedElementsAreArray(test::kTinyNames));
}

// Folders that the original libraries wrote load without warnings ...
TEST(TinyFolders, LoadWithoutWarnings) {
  for (const std::string name : test::kTinyNames) {
    // st_jina_v3: none of its tasks is chosen
    if (name == "bert_old_names" || name == "st_jina_v3" || name.ends_with("_lm")) continue;
    test::Heard heard;
    load_model(test::kTinyFolders / name, heard.warning());
    // A plain encoder has no sentence pipeline: the assumption of mean pooling must give a warning.
    std::erase_if(heard.sentences, [&](const std::string& s) {
      return !name.starts_with("st_") && s.find("pooling") != s.npos;
    });
    EXPECT_THAT(heard.sentences, ::testing::IsEmpty()) << name;
  }
}

// ... except for heads that are not run: those of pre-training in old checkpoints, and a language model's.
TEST(TinyFolders, NameTheHeadsThatAreIgnored) {
  test::Heard heard;
  load_model(test::kTinyFolders / "bert_old_names", heard.warning());
  EXPECT_THAT(heard.sentences, ::testing::Contains(::testing::HasSubstr("cls.seq_relationship.weight")));
  for (const auto& [language_model, head] : {std::pair("qwen3_lm", "lm_head.weight"),
                                             {"gemma3_lm", "lm_head.weight"},
                                             {"t5_lm", "decoder.block.0.layer.0.SelfAttention"},
                                             {"bart_lm", "final_logits_bias"}}) {
    heard.sentences.clear();
    load_model(test::kTinyFolders / language_model, heard.warning());
    EXPECT_THAT(heard.sentences, ::testing::Contains(::testing::HasSubstr(head))) << language_model;
  }
}

}  // namespace
}  // namespace mlxe::parity_test
