#include "format/quantization_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test_files.h"

namespace mlxe::quantization_config_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

QuantizationConfig read(std::string_view text, const Warning& warn = {}) {
  return QuantizationConfig::read(Config::parse(text, "config.json"), warn);
}

std::string error_of(std::string_view text, ErrorCode code = ErrorCode::format) {
  return test::error_text([&] { read(text); }, code);
}

std::optional<Scheme> choice(const QuantizationConfig& config, std::string name) {
  return config.choose(std::vector<std::string>{std::move(name)}).scheme;
}

constexpr Scheme scheme(Mode mode, int bits, int group) {
  return {.mode = mode, .bits = bits, .group_size = group};
}

TEST(QuantizationConfig, AbsentMeansNothing) {
  EXPECT_FALSE(read("{}").present());
  EXPECT_FALSE(read(R"({"quantization": null})").present());
}

TEST(QuantizationConfig, DefaultsAreThoseOfMlx) {
  EXPECT_EQ(read(R"({"quantization": {}})").global(), scheme(Mode::affine, 4, 64));
  EXPECT_EQ(read(R"({"quantization": {"mode": "mxfp4"}})").global(), scheme(Mode::mxfp4, 4, 32));
  EXPECT_EQ(read(R"({"quantization": {"mode": "mxfp8"}})").global(), scheme(Mode::mxfp8, 8, 32));
  EXPECT_EQ(read(R"({"quantization": {"mode": "nvfp4"}})").global(), scheme(Mode::nvfp4, 4, 16));
}

TEST(QuantizationConfig, OverridesDecideAndMeanAffineWithoutAMode) {
  const QuantizationConfig config = read(R"({"quantization": {"group_size": 32, "bits": 4, "mode": "mxfp4",
    "a": {"group_size": 64, "bits": 8}, "b": false, "c": true, "d": {"mode": "nvfp4"}}})");
  EXPECT_EQ(choice(config, "other"), scheme(Mode::mxfp4, 4, 32));
  EXPECT_EQ(choice(config, "a"), scheme(Mode::affine, 8, 64));
  EXPECT_EQ(choice(config, "b"), std::nullopt);
  EXPECT_EQ(choice(config, "c"), scheme(Mode::mxfp4, 4, 32));
  EXPECT_EQ(choice(config, "d"), scheme(Mode::nvfp4, 4, 16));
}

TEST(QuantizationConfig, TheHubsCopyIsReadAlone) {
  EXPECT_EQ(read(R"({"quantization_config": {"group_size": 64, "bits": 8}})").global(),
            scheme(Mode::affine, 8, 64));
  EXPECT_THAT(
      error_of(R"({"quantization_config": {"quant_method": "gptq", "bits": 4}})", ErrorCode::unsupported),
      HasSubstr("quant_method \"gptq\" is another tool's"));
}

TEST(QuantizationConfig, ADifferingCopyIsSaid) {
  test::Heard heard;
  read(R"({"quantization": {"bits": 4}, "quantization_config": {"bits": 4}})", heard.warning());
  EXPECT_THAT(heard.sentences, IsEmpty());
  EXPECT_EQ(read(R"({"quantization": {"bits": 4}, "quantization_config": {"bits": 8}})", heard.warning())
                .global()
                ->bits,
            4);
  EXPECT_THAT(heard.sentences, ElementsAre(HasSubstr("differ; the first was used")));
}

TEST(QuantizationConfig, UnknownScalarsAreSaid) {
  test::Heard heard;
  read(R"({"quantization": {"bits": 4, "linear_class": "x", "zeta": 3, "a": {"bits": 4, "eta": 1}}})",
       heard.warning());
  EXPECT_THAT(heard.sentences, ElementsAre(HasSubstr("\"eta\""), HasSubstr("\"zeta\"")));
}

TEST(QuantizationConfig, BadValuesAreNamed) {
  EXPECT_THAT(error_of(R"({"quantization": 4})"), HasSubstr("\"quantization\" is 4, expected an object"));
  EXPECT_THAT(error_of(R"({"quantization": {"bits": 7}})"),
              HasSubstr("\"bits\" is 7, expected one of 4, 2, 3, 5, 6, 8"));
  EXPECT_THAT(error_of(R"({"quantization": {"bits": 0}})"), HasSubstr("\"bits\" is 0"));
  EXPECT_THAT(error_of(R"({"quantization": {"bits": "4"}})"), HasSubstr("\"bits\" is \"4\""));
  EXPECT_THAT(error_of(R"({"quantization": {"group_size": 16}})"), HasSubstr("\"group_size\" is 16"));
  EXPECT_THAT(error_of(R"({"quantization": {"mode": "mxfp4", "group_size": 64}})"),
              HasSubstr("expected one of 32"));
  EXPECT_THAT(error_of(R"({"quantization": {"a": {"bits": 9}}})"), HasSubstr("\"a\": \"bits\" is 9"));
  EXPECT_THAT(error_of(R"({"quantization": {"mode": "fp6"}})", ErrorCode::unsupported), HasSubstr("\"fp6\""));
}

}  // namespace
}  // namespace mlxe::quantization_config_test
