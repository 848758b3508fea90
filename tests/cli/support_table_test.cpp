// docs/models.md is what tools/make_support_table.py makes of the registry and the tests.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "run_program.h"

namespace mlxe::test::support_table_test {
namespace {

namespace fs = std::filesystem;

int check_page(const fs::path& page) {
  const std::string command = "python3 '" MLXE_SOURCE_DIR "/tools/make_support_table.py' '" MLXE_PROGRAM
                              "' --check --page '" +
                              page.string() + "'";
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(SupportTable, ThePageSaysWhatTheRegistryAndTheTestsSay) {
  const fs::path page = fs::path(MLXE_SOURCE_DIR) / "docs/models.md";
  EXPECT_EQ(check_page(page), 0);
  // The twins: a family that is missing, and a checkpoint that does not prove.
  const TemporaryFolder folder;
  const std::string text = read_file(page);
  const size_t row = text.find("| `mpnet` |"), proof = text.find("`mpnet_cls`");
  ASSERT_NE(row, text.npos);
  ASSERT_NE(proof, text.npos);
  std::string without = text, other = text;
  without.erase(row, text.find('\n', row) + 1 - row);
  other.replace(proof, 11, "`mpnet_ner`");
  for (const std::string& changed : {without, other}) {
    write_file(folder / "models.md", changed);
    EXPECT_EQ(check_page(folder / "models.md"), 1);
  }
}

TEST(SupportTable, ListsEachFamilyWithItsHeads) {
  const auto support = nlohmann::json::parse(run_program({"doctor", "--families", "--json"}).out);
  const auto& families = support["families"];
  ASSERT_GE(families.size(), 20u);
  for (const nlohmann::json& family : families) {
    EXPECT_TRUE(family["heads"].contains("sentence")) << family;
    if (family["model_type"] == "bert") {
      EXPECT_EQ(family["heads"]["logits"], "BertForSequenceClassification");
      EXPECT_EQ(family["mlx_embeddings"], true);
    }
    if (family["model_type"] == "gemma3_text") {
      EXPECT_FALSE(family["heads"].contains("logits"));
    }
  }
  const std::string folder = MLXE_TEST_DATA "/tiny/camembert_ner";
  EXPECT_EQ(run_program({"doctor", "--families", folder}).out, folder + ": camembert\n");
  EXPECT_EQ(run_program({"doctor", folder}).status, 2);
  EXPECT_NE(run_program({"doctor", "--families"}).out.find("deberta-v2"), std::string::npos);
}

}  // namespace
}  // namespace mlxe::test::support_table_test
