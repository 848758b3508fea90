// do_lower_case of sentence_bert_config.json reaches the tokenizer. tests/golden/tokenizer_test.cpp
// compares its effect with sentence-transformers.
#include <gtest/gtest.h>

#include "mlx_encoder/encoder.h"
#include "test_files.h"

namespace mlxe::lower_case_test {
namespace {

namespace fs = std::filesystem;

std::vector<int32_t> ids(const char* checkpoint, const char* setting, const std::string& text) {
  test::TemporaryFolder folder;
  const fs::path tiny = fs::path(MLXE_TEST_DATA) / "tiny";
  fs::copy(tiny / checkpoint, folder.path(), fs::copy_options::recursive);
  // sentence-transformers reads the file only in a folder with modules.json.
  for (const char* file : {"modules.json", "1_Pooling"})
    fs::copy(tiny / "st_mean_norm" / file, folder / file,
             fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  test::write_file(folder / "sentence_bert_config.json",
                   std::string(R"({"max_seq_length": 32, "do_lower_case": )") + setting + "}");
  return Encoder::load(folder.path(), {.engine = EngineKind::cpu}).tokenize({text, std::nullopt}).ids;
}

TEST(LowerCase, IsAppliedWhereTheFolderSaysSo) {
  for (const char* cased : {"roberta", "xlm_roberta"}) {
    const auto lower = ids(cased, "false", "the river road");
    EXPECT_EQ(ids(cased, "true", "The RIVER road"), lower) << cased;
    EXPECT_NE(ids(cased, "false", "The RIVER road"), lower) << cased;
  }
  EXPECT_EQ(ids("st_mean_norm", "true", "The RIVER road"), ids("st_mean_norm", "false", "the river road"));
}

}  // namespace
}  // namespace mlxe::lower_case_test
