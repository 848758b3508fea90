// Commands on a folder with an ONNX export, and on an export that is named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "run_program.h"

namespace mlxe::test::onnx_cli_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kGolden = MLXE_TEST_DATA "/onnx/";

TEST(OnnxCommands, RunAsOnSafetensors) {
  const TemporaryFolder folder;
  const std::string model = (folder / "model").string(), original = MLXE_TEST_DATA "/tiny/bert";
  fs::copy(original, model, fs::copy_options::recursive);
  fs::remove(model + "/model.safetensors");
  fs::create_directory(model + "/onnx");
  fs::copy_file(std::string(kGolden) + "bert.onnx", model + "/onnx/model.onnx");
  fs::copy_file(std::string(kGolden) + "bert_q8.onnx", model + "/onnx/model_quantized.onnx");
  const std::string quantized = model + "/onnx/model_quantized.onnx", texts = (folder / "texts.txt").string();
  write_file(texts, "The cat sat on the warm piano.\nTake the second road along the river.\nA question\n");

  int n = 0;
  std::vector<std::string> vectors;
  for (const std::string& source : {original, model, quantized}) {
    const std::string file = (folder / (std::to_string(n++) + ".npy")).string();
    const Outcome o = run_program({"embed", source, "--engine", "cpu", "-i", texts, "-o", file});
    ASSERT_EQ(o.status, 0) << o.err;
    vectors.push_back(read_file(file));
  }
  EXPECT_EQ(vectors[0], vectors[1]);
  EXPECT_NE(vectors[0], vectors[2]);
  for (const std::string& source : {model, quantized})
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"inspect", source},
          std::vector<std::string>{"bench", source, "--shapes", "1x3", "--seconds", "0.01", "--engine",
                                   "cpu"},
          std::vector<std::string>{"convert", "-q", "--q-group-size", "32", source, "--mlx-path",
                                   (folder / ("out" + std::to_string(source.size()))).string()},
          std::vector<std::string>{"compare", original, source, "--texts", texts, "--json"}}) {
      const Outcome o = run_program(command);
      EXPECT_EQ(o.status, 0) << testing::PrintToString(command) << o.out << o.err;
    }
  const std::string out = (folder / ("out" + std::to_string(quantized.size()))).string();
  EXPECT_EQ(run_program({"verify", out}).status, 0);
  EXPECT_EQ(run_program({"compare", quantized, out, "--texts", texts}).status, 0);
}

TEST(OnnxCommands, AFileThatIsNoExportIsRefusedInOneSentence) {
  const TemporaryFolder folder;
  const std::string model = (folder / "model").string();
  fs::copy(MLXE_TEST_DATA "/tiny/bert", model, fs::copy_options::recursive);
  write_file(model + "/other.onnx", "no export");
  const Outcome o = run_program({"convert", model + "/other.onnx", "--mlx-path", (folder / "out").string()});
  EXPECT_EQ(o.status, 6);
  EXPECT_THAT(o.err, AllOf(HasSubstr("no ONNX model"), HasSubstr("is the download complete?")));
  EXPECT_FALSE(fs::exists(folder / "out"));
}

}  // namespace
}  // namespace mlxe::test::onnx_cli_test
