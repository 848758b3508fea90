// A converted folder that changed afterwards: inspect and --strict name the file.
#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "model_folders.h"
#include "run_program.h"

namespace mlxe::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class Tampering : public ::testing::Test {
 protected:
  Tampering() : folder((temporary / "q").string()) {
    EXPECT_EQ(
        run_program({"convert", tiny("st_mean_norm"), "-q", "--q-group-size", "32", "--mlx-path", folder})
            .status,
        0);
  }
  // Flips one bit of a byte near the end: in a code, a scale, a vector or white space.
  void flip(const std::string& file) const {
    std::string bytes = read_file(fs::path(folder) / file);
    bytes[bytes.size() - std::min<size_t>(5000, bytes.size() / 3)] ^= static_cast<char>(0x80);
    write_file(fs::path(folder) / file, bytes);
  }
  TemporaryFolder temporary;
  std::string folder;
};

TEST_F(Tampering, OfTheWeightsIsSaidByInspectAndUnderStrict) {
  EXPECT_EQ(run_program({"inspect", folder}).status, 0);
  EXPECT_EQ(run_program({"inspect", folder, "--plan"}).status, 0);
  EXPECT_EQ(run_program({"inspect", folder, "--plan", "--tensors"}).status, 2) << "one would be ignored";
  EXPECT_EQ(run_program({"embed", folder, "hello", "--strict"}).status, 0);
  flip("model.safetensors");
  const auto names_the_file = AllOf(HasSubstr(folder + "/model.safetensors"), HasSubstr("SHA-256"));

  const Outcome text = run_program({"inspect", folder});
  EXPECT_EQ(text.status, 6);
  EXPECT_THAT(text.out, HasSubstr("not as it was converted"));
  EXPECT_THAT(text.out, names_the_file);
  EXPECT_THAT(text.err, names_the_file);
  const Outcome plan = run_program({"inspect", folder, "--plan"});
  EXPECT_EQ(plan.status, 6);
  EXPECT_THAT(plan.err, names_the_file);
  const Outcome json = run_program({"inspect", folder, "--json"});
  EXPECT_EQ(json.status, 6);
  const nlohmann::json object = nlohmann::json::parse(json.out);
  ASSERT_EQ(object["changes"].size(), 1u);
  EXPECT_THAT(object["changes"][0].get<std::string>(), names_the_file);

  const std::string texts = temporary / "texts.txt";
  write_file(texts, "one\ntwo\n");
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"embed", folder, "hello", "--strict"},
           {"tokenize", folder, "hello", "--strict"},
           {"similarity", folder, "hello", "you", "--strict"},
           {"compare", tiny("st_mean_norm"), folder, "--texts", texts, "--strict", "--no-speed"},
           {"bench", folder, "--strict", "--shapes", "1x4", "--seconds", "0"},
           {"convert", folder, "--strict", "--dry-run"}}) {
    const Outcome o = run_program(command);
    EXPECT_EQ(o.status, 9) << command[0] << o.err;
    EXPECT_THAT(o.err, names_the_file) << command[0];
  }
  EXPECT_EQ(run_program({"embed", folder, "hello"}).status, 0);  // without --strict only sizes are checked
}

TEST_F(Tampering, ThatChangesASizeIsAWarningEverywhere) {
  write_file(fs::path(folder) / "tokenizer_config.json",
             read_file(fs::path(folder) / "tokenizer_config.json") + "\n\n");
  const Outcome plain = run_program({"embed", folder, "hello"});
  EXPECT_EQ(plain.status, 0);
  EXPECT_THAT(plain.err, AllOf(HasSubstr("warning: "), HasSubstr("tokenizer_config.json: ")));
  EXPECT_EQ(run_program({"embed", folder, "hello", "--strict"}).status, 9);
  EXPECT_EQ(run_program({"inspect", folder}).status, 6);

  fs::remove(fs::path(folder) / "mlx_encoder.json");  // as after an intended change
  EXPECT_EQ(run_program({"embed", folder, "hello", "--strict"}).status, 0);
  EXPECT_EQ(run_program({"inspect", folder}).status, 0);
}

TEST_F(Tampering, WithTheRecordItselfIsSaid) {
  flip("mlx_encoder.json");
  EXPECT_THAT(run_program({"embed", folder, "hello"}).err, HasSubstr("mlx_encoder.json"));
  const Outcome strict = run_program({"embed", folder, "hello", "--strict"});
  EXPECT_EQ(strict.status, 9);
  EXPECT_THAT(strict.err, HasSubstr("mlx_encoder.json"));
}

}  // namespace
}  // namespace mlxe::test
