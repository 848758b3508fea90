// Commands on a folder with pytorch_model.bin.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "run_program.h"

namespace mlxe::test::torch_weights_cli_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

TEST(TorchWeightsCommands, RunAsOnSafetensors) {
  const TemporaryFolder folder;
  const std::string bin = (folder / "bin").string(), original = MLXE_TEST_DATA "/tiny/bert_mlm";
  fs::copy(original, bin, fs::copy_options::recursive);
  fs::remove(bin + "/model.safetensors");
  fs::copy_file(MLXE_TEST_DATA "/torch/bert_mlm.bin", bin + "/pytorch_model.bin");
  const std::string texts = (folder / "texts.txt").string();
  write_file(texts, "The cat sat on the warm piano.\nTake the second road along the river.\nA question\n");

  const Outcome compared = run_program({"compare", original, bin, "--texts", texts, "--json"});
  ASSERT_EQ(compared.status, 0) << compared.err;
  EXPECT_EQ(json::parse(compared.out)["passed"], true) << compared.out.substr(0, 400);
  const std::vector<std::string> embed{"embed", "--engine", "cpu", "-i", texts, "-o"};
  for (const std::string& model : {original, bin}) {
    std::vector<std::string> command = embed;
    command.push_back((folder / (model == bin ? "b.npy" : "a.npy")).string());
    command.insert(command.begin() + 1, model);
    const Outcome o = run_program(command);
    ASSERT_EQ(o.status, 0) << o.err;
  }
  EXPECT_EQ(read_file(folder / "a.npy"), read_file(folder / "b.npy"));
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"bench", bin, "--shapes", "1x3", "--seconds", "0.01", "--engine", "cpu"},
        std::vector<std::string>{"inspect", bin},
        std::vector<std::string>{"convert", "-q", "--q-group-size", "32", bin, "--mlx-path",
                                 (folder / "out").string()},
        std::vector<std::string>{"compare", bin, (folder / "out").string(), "--texts", texts},
        std::vector<std::string>{"verify", (folder / "out").string()}}) {
    const Outcome o = run_program(command);
    EXPECT_EQ(o.status, 0) << testing::PrintToString(command) << o.out << o.err;
  }
  fs::copy_file(MLXE_TEST_DATA "/torch/refused_module.bin", bin + "/pytorch_model.bin",
                fs::copy_options::overwrite_existing);
  const Outcome refused = run_program({"embed", bin, "-i", texts});
  EXPECT_EQ(refused.status, 7);
  EXPECT_THAT(refused.err, HasSubstr("the pickle wants to call \"torch.nn.modules.linear.Linear\""));
}

}  // namespace
}  // namespace mlxe::test::torch_weights_cli_test
