// Checkpoints that resemble a known architecture, but are another one.
#include "models/unknown_tensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "../model_folders.h"
#include "mlx_encoder/compare.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/encoder.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace unknown_tensors_test {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kAdapter = "encoder.layer.1.attention.output.adapters.news.adapter_up.0.weight";

fs::path with_adapter(const fs::path& target) {
  return test::changed_copy(test::tiny("bert"), target, [](test::RawTensors& t) {
    t[kAdapter] = test::float_tensor({8, 8}, test::random_weights(64, 1));
  });
}

TEST(UnknownTensors, InLayersAreRefused) {
  const test::TemporaryFolder folder;
  const fs::path model = with_adapter(folder / "adapter");
  const auto refused =
      AllOf(HasSubstr("config.json says bert, whose layers have no " + std::string(kAdapter)),
            HasSubstr("--allow-unknown"));
  EXPECT_THAT(test::error_text([&] { Encoder::load(model); }, ErrorCode::unsupported), refused);
  const ConvertOptions options{.model = model, .output = folder / "out"};
  EXPECT_THAT(test::error_text([&] { convert(options); }, ErrorCode::unsupported), refused);
  EXPECT_FALSE(fs::exists(folder / "out"));
}

// Tensors of heads, of layers beyond the number in config.json, and buffers are no sign of another architecture.
TEST(UnknownTensors, OutsideOfLayersAreIgnored) {
  const test::TemporaryFolder folder;
  const fs::path model = test::changed_copy(test::tiny("bert"), folder / "more", [](test::RawTensors& t) {
    const test::RawTensor some = test::float_tensor({4}, {1, 2, 3, 4});
    t["cls.seq_relationship.bias"] = t["encoder.layer.2.output.dense.bias"] = some;
    t["encoder.layer.0.attention.position_ids"] = some;
  });
  test::Heard heard;
  const LoadedModel loaded = load_model(model, heard.warning());
  EXPECT_THAT(unknown_tensors(loaded.checkpoint, loaded.model), ::testing::IsEmpty());
  EXPECT_THAT(heard.sentences, Contains(AllOf(HasSubstr("cls.seq_relationship.bias"), HasSubstr("ignored"))));
}

TEST(UnknownTensors, AreLeftOutWhereAllowed) {
  const test::TemporaryFolder folder;
  const fs::path model = with_adapter(folder / "adapter");
  test::Heard heard;
  const EncoderOptions allowed{.engine = EngineKind::cpu, .allow_unknown = true, .warning = heard.warning()};
  const EncoderOptions plain{.engine = EngineKind::cpu};
  const std::vector<std::string> texts{"the cat sat on the mat"};
  const Vectors without = Encoder::load(test::tiny("bert"), plain).embed(texts);
  EXPECT_EQ(Encoder::load(model, allowed).embed(texts).values, without.values);
  EXPECT_THAT(heard.sentences, Contains(HasSubstr(kAdapter)));

  for (const bool calibrated : {false, true}) {
    ConvertOptions options{.model = model,
                           .output = folder / (calibrated ? "calibrated" : "out"),
                           .scheme = {.mode = Mode::affine, .bits = 4, .group_size = 32, .dtype = Dtype::f16},
                           .allow_unknown = true};
    if (calibrated) options.calibration = Calibration{};
    const Conversion done = convert(options);
    EXPECT_THAT(done.plan.warnings, Contains(AllOf(HasSubstr(kAdapter), HasSubstr("left out"))));
    EXPECT_FALSE(test::read_tensors(options.output / "model.safetensors").contains(kAdapter));
    EXPECT_EQ(Encoder::load(options.output, plain).embed(texts).rows, 1) << "needs no option";
  }
  const CompareInput input{.texts = {{"the cat sat on the mat"}, {"a dog"}}};
  EXPECT_THAT(test::error_text([&] { compare(model, folder / "out", input); }, ErrorCode::unsupported),
              HasSubstr("--allow-unknown"));
  EXPECT_EQ(compare(model, folder / "out", input, {.engine = EngineKind::cpu, .allow_unknown = true}).texts,
            2);
}

std::string refusal(const fs::path& model) {
  return test::error_text([&] { load_model(model, {}); }, ErrorCode::unsupported);
}

TEST(NearestArchitecture, IsNamedForAnUnknownOne) {
  const test::TemporaryFolder folder;
  const auto changed = [&](const char* source, const char* name, auto change_tensors, auto change_config) {
    const fs::path model = test::changed_copy(test::tiny(source), folder / name, change_tensors);
    test::change_config(model, change_config);
    return model;
  };
  const auto same = [](test::RawTensors&) {};
  const auto renamed = [](nlohmann::json& c) { c["model_type"] = "my_bert"; };
  EXPECT_THAT(refusal(changed("bert", "same", same, renamed)),
              AllOf(HasSubstr("\"model_type\" is \"my_bert\"; this version knows bert, "),
                    HasSubstr("its config.json and tensors are those of bert"),
                    HasSubstr("set \"model_type\" to \"bert\"")));
  const fs::path other = changed(
      "bert", "other",
      [](test::RawTensors& t) {
        t["encoder.layer.0.attention.self.query_norm.weight"] = test::float_tensor({2}, {1, 1});
        t.erase("embeddings.token_type_embeddings.weight");
      },
      [](nlohmann::json& c) {
        c["model_type"] = "my_bert";
        c["query_norm"] = true;
      });
  EXPECT_THAT(refusal(other), AllOf(HasSubstr("the nearest is bert, from which it differs: it lacks "
                                              "embeddings.token_type_embeddings.weight"),
                                    HasSubstr("it also has encoder.layer.0.attention.self.query_norm.weight"),
                                    HasSubstr("the unknown keys query_norm")));
  EXPECT_THAT(refusal(changed("modernbert", "modern", same, renamed)), HasSubstr("those of modernbert"));
  EXPECT_THAT(refusal(changed(
                  "bert", "none",
                  [](test::RawTensors& t) {
                    const test::RawTensor one = t.begin()->second;
                    t.clear();
                    t["unet.conv.weight"] = one;
                  },
                  renamed)),
              HasSubstr("it resembles none of them"));
}

}  // namespace unknown_tensors_test
}  // namespace mlxe
