// Commands on GGUF files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "run_program.h"

namespace mlxe::test::gguf_cli_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

class GgufCommands : public testing::Test {
 protected:
  GgufCommands() {
    fs::copy_file(MLXE_TEST_DATA "/gguf/bert.gguf", folder_ / "tiny.F32.gguf");
    write_file(folder_ / "texts.txt", "The cat sat on the warm piano.\nTake the second road.\nA question\n");
  }
  std::string at(const char* name) const { return (folder_ / name).string(); }

  TemporaryFolder folder_;
  const std::string original_ = MLXE_TEST_DATA "/tiny/st_mean_norm";
};

TEST_F(GgufCommands, RunAsOnTheOriginal) {
  const std::string model = at("tiny.F32.gguf"), texts = at("texts.txt");
  const Outcome compared = run_program({"compare", original_, model, "--texts", texts, "--json"});
  ASSERT_EQ(compared.status, 0) << compared.err;
  EXPECT_EQ(json::parse(compared.out)["passed"], true) << compared.out.substr(0, 400);
  for (const auto& [name, output] : {std::pair(model, "a.npy"), std::pair(original_, "b.npy")}) {
    const Outcome o = run_program({"embed", name, "-i", texts, "-o", at(output), "--engine", "cpu"});
    ASSERT_EQ(o.status, 0) << o.err;
  }
  EXPECT_EQ(read_file(folder_ / "a.npy"), read_file(folder_ / "b.npy"));
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"inspect", model}, std::vector<std::string>{"tokenize", model, "A question"},
        std::vector<std::string>{"convert", "-q", "--q-group-size", "32", model, "--mlx-path", at("out")},
        std::vector<std::string>{"compare", model, at("out"), "--texts", texts},
        std::vector<std::string>{"verify", at("out")}}) {
    const Outcome o = run_program(command);
    EXPECT_EQ(o.status, 0) << testing::PrintToString(command) << o.out << o.err;
  }
}

TEST_F(GgufCommands, AFolderWithOneFileIsThatModel) {
  fs::create_directory(folder_ / "m");
  fs::rename(folder_ / "tiny.F32.gguf", folder_ / "m/tiny.F32.gguf");
  const Outcome one = run_program({"embed", at("m"), "A question", "--engine", "cpu"});
  EXPECT_EQ(one.status, 0) << one.err;
  fs::copy_file(folder_ / "m/tiny.F32.gguf", folder_ / "m/tiny.F16.gguf");
  const Outcome two = run_program({"embed", at("m"), "A question", "--engine", "cpu"});
  EXPECT_EQ(two.status, 2);
  EXPECT_THAT(two.err,
              HasSubstr("holds 2 models, \"tiny.F16.gguf\", \"tiny.F32.gguf\"; name one of these files"));
}

TEST_F(GgufCommands, NoOutputReplacesTheFile) {
  const std::string model = at("tiny.F32.gguf"), before = read_file(folder_ / "tiny.F32.gguf");
  fs::create_symlink("tiny.F32.gguf", folder_ / "link.npy");
  for (const std::string& output : {model, at("link.npy")}) {
    const Outcome o = run_program({"embed", model, "A question", "-o", output});
    EXPECT_EQ(o.status, 2) << o.out;
    EXPECT_THAT(o.err, HasSubstr("which this run reads"));
  }
  EXPECT_EQ(run_program({"convert", "-q", "--q-group-size", "32", model, "--mlx-path", model}).status, 2);
  EXPECT_EQ(read_file(folder_ / "tiny.F32.gguf"), before);
}

TEST_F(GgufCommands, ADamagedFileIsASentence) {
  write_file(folder_ / "tiny.F32.gguf", read_file(folder_ / "tiny.F32.gguf").substr(0, 5000));
  const Outcome o = run_program({"embed", at("tiny.F32.gguf"), "A question"});
  EXPECT_EQ(o.status, 6);
  EXPECT_THAT(o.err, HasSubstr("is the download complete?"));
}

}  // namespace
}  // namespace mlxe::test::gguf_cli_test
