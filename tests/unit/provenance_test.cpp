// mlx_encoder.json: its content, the changes it detects, and the messages if it can't be used.
#include "format/provenance.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "mlx_encoder/convert.h"
#include "mlx_encoder/encoder.h"
#include "mlx_encoder/inspect.h"
#include "model_folders.h"

namespace mlxe {
namespace {

namespace fs = std::filesystem;
using test::error_text;
using test::TemporaryFolder;
using test::tiny;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr Scheme kScheme{.mode = Mode::affine, .bits = 8, .group_size = 32, .dtype = Dtype::f16};

void flip_a_bit(const fs::path& file) {
  std::string bytes = test::read_file(file);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x20);
  test::write_file(file, bytes);
}

class ConvertedFolder : public ::testing::Test {
 protected:
  ConvertedFolder() : folder(temporary / "q") {
    convert({.model = tiny("st_dense"), .output = folder, .scheme = kScheme});
  }
  std::vector<std::string> changes(FileCheck check = FileCheck::content) const {
    return changes_since_conversion(folder, check);
  }
  TemporaryFolder temporary;
  fs::path folder;
};

TEST_F(ConvertedFolder, RecordsWhatItReadsBack) {
  const auto read = Provenance::read(folder);
  ASSERT_TRUE(read);
  EXPECT_EQ(Provenance::parse(read->text(), "text"), *read);
  EXPECT_THAT(changes(), IsEmpty());
  EXPECT_FALSE(Provenance::read(tiny("bert")));
  EXPECT_THAT(changes_since_conversion(tiny("bert"), FileCheck::content), IsEmpty());
}

TEST_F(ConvertedFolder, OneBitOfAnyFileIsNoticed) {
  const auto recorded = Provenance::read(folder);
  std::vector<std::string> files;
  for (const auto& [file, print] : recorded->output) files.push_back(file);
  EXPECT_THAT(files,
              ::testing::IsSupersetOf({"model.safetensors", "config.json", "tokenizer.json", "modules.json",
                                       "tokenizer_config.json", "special_tokens_map.json", "vocab.txt",
                                       "2_Dense/model.safetensors", "model.safetensors.index.json"}));
  for (const std::string& file : files) {
    SCOPED_TRACE(file);
    const std::string before = test::read_file(folder / file);
    flip_a_bit(folder / file);
    EXPECT_THAT(changes(), ElementsAre(AllOf(HasSubstr((folder / file).string()), HasSubstr("SHA-256"))));
    EXPECT_THAT(changes(FileCheck::size), IsEmpty());  // the twin: sizes alone don't show it
    test::write_file(folder / file, before + "\n");
    EXPECT_THAT(changes(FileCheck::size), ElementsAre(HasSubstr("bytes, mlx_encoder.json records")));
    fs::remove(folder / file);
    EXPECT_THAT(changes(FileCheck::size),
                ElementsAre(HasSubstr("is missing, but mlx_encoder.json records it")));
    test::write_file(folder / file, before);
    EXPECT_THAT(changes(), IsEmpty());
  }
}

TEST_F(ConvertedFolder, LoadingWarnsOfAnotherSizeAndInspectOfAnyChange) {
  const auto heard = [&] {
    test::Heard warnings;
    Encoder::load(folder, {.engine = EngineKind::cpu, .threads = 1, .warning = warnings.warning()});
    return warnings.sentences;
  };
  EXPECT_THAT(heard(), IsEmpty());
  EXPECT_THAT(inspect_model(folder).changes, IsEmpty());
  test::write_file(folder / "modules.json", test::read_file(folder / "modules.json") + " ");
  EXPECT_THAT(heard(), ElementsAre(HasSubstr("modules.json")));
  EXPECT_THAT(inspect_model(folder).changes, ElementsAre(HasSubstr("modules.json")));
  // A conversion of the changed folder warns that its source changed.
  EXPECT_THAT(plan_conversion({.model = folder, .scheme = kScheme}).warnings,
              ::testing::Contains(HasSubstr("modules.json")));
}

TEST_F(ConvertedFolder, ARecordThatCantBeUsedIsSaid) {
  const nlohmann::json good = nlohmann::json::parse(test::read_file(folder / "mlx_encoder.json"));
  const auto refused = [&](const std::string& text, ErrorCode code = ErrorCode::format) {
    const std::string said = error_text([&] { Provenance::parse(text, "mlx_encoder.json"); }, code);
    test::write_file(folder / "mlx_encoder.json", text);
    EXPECT_EQ(changes(FileCheck::size).size(), 1u);
    return said;
  };
  const auto with = [&](const char* pointer, const nlohmann::json& value) {
    nlohmann::json changed = good;
    changed[nlohmann::json::json_pointer(pointer)] = value;
    return changed.dump();
  };
  EXPECT_THAT(refused(""), HasSubstr("not valid JSON"));
  EXPECT_THAT(refused(good.dump().substr(0, 100)), HasSubstr("not valid JSON"));
  EXPECT_THAT(refused("[]"), HasSubstr("expected an object"));
  EXPECT_THAT(refused("{}"), HasSubstr("\"version\" is missing"));
  EXPECT_THAT(refused(with("/version", 2), ErrorCode::unsupported), HasSubstr("\"version\" is 2"));
  EXPECT_THAT(refused(with("/plan", 1)), HasSubstr("\"plan\" is 1"));
  EXPECT_THAT(refused(with("/output", nullptr)), HasSubstr("\"output\" is null"));
  EXPECT_THAT(refused(with("/output/config.json", "x")), HasSubstr("\"config.json\" is \"x\""));
  EXPECT_THAT(refused(with("/output/config.json/bytes", -1)), HasSubstr("expected \"bytes\""));
  EXPECT_THAT(refused(with("/output/config.json/sha256", std::string(64, 'x'))), HasSubstr("\"sha256\""));
  for (const std::string& name : {std::string("/etc/passwd"), std::string("../other"),
                                  std::string("a/../../b"), std::string("a\0b", 3), std::string()}) {
    nlohmann::json changed = good;
    changed["output"][name] = good["output"]["config.json"];
    EXPECT_THAT(refused(changed.dump()), HasSubstr("expected a file of the folder")) << name;
  }
}

}  // namespace
}  // namespace mlxe
