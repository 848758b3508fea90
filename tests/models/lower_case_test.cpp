// sentence_bert_config.json's do_lower_case: honoured by a tokenizer that lowercases, refused with one that
// does not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mlx_encoder/encoder.h"
#include "test_files.h"

namespace mlxe {
namespace {

namespace fs = std::filesystem;

void load_with_lower_case(const char* checkpoint) {
  test::TemporaryFolder folder;
  fs::copy(fs::path(MLXE_TEST_DATA) / "tiny" / checkpoint, folder.path(), fs::copy_options::recursive);
  test::write_file(folder / "sentence_bert_config.json", R"({"max_seq_length": 32, "do_lower_case": true})");
  Encoder::load(folder.path(), {.engine = EngineKind::cpu});
}

TEST(LowerCase, IsTheTokenizersOrRefused) {
  load_with_lower_case("st_mean_norm");  // its WordPiece tokenizer lowercases
  EXPECT_THAT(test::error_text([] { load_with_lower_case("roberta"); }, ErrorCode::unsupported),
              testing::HasSubstr("do_lower_case"));
}

}  // namespace
}  // namespace mlxe
