// What Swift's MLXEmbedders loads: inspect's verdicts, and those of tools/check_swift_layout.py, which has the loader's
// rules from its source and shares no code with inspect.
#include "convert/swift_embedders.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cstdio>
#include <functional>
#include <map>
#include <memory>

#include "mlx_encoder/convert.h"
#include "mlx_encoder/inspect.h"
#include "model_folders.h"

namespace mlxe::swift_embedders_test {
namespace {

namespace fs = std::filesystem;
using test::RawTensors;
using test::tiny;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr Scheme kAffine4g32{.mode = Mode::affine, .bits = 4, .group_size = 32, .dtype = Dtype::f16};

// The line that the tool prints of each folder.
std::string said_by_the_tool(const std::vector<fs::path>& folders) {
  std::string command = "python3 '" MLXE_SOURCE_DIR "/tools/check_swift_layout.py'";
  for (const fs::path& folder : folders) command += fmt::format(" '{}'", folder.string());
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  std::string text;
  for (int c; (c = std::fgetc(pipe.get())) != EOF;) text += static_cast<char>(c);
  return text;
}

ReaderVerdict verdict_of(const fs::path& folder) {
  const Inspection inspection = inspect_model(folder);
  return *std::ranges::find(inspection.readers, "MLXEmbedders (Swift)", &ReaderVerdict::reader);
}

class SwiftEmbedders : public ::testing::Test {
 protected:
  fs::path convert_to(const char* name, const fs::path& source, Layout layout = Layout::hf,
                      std::vector<std::string> overrides = {}) {
    convert({.model = source,
             .output = folder_ / name,
             .scheme = kAffine4g32,
             .overrides = std::move(overrides),
             .layout = layout});
    return folder_ / name;
  }
  test::TemporaryFolder folder_;
};

TEST_F(SwiftEmbedders, PathsAreThoseOfItsModules) {
  EXPECT_EQ(swift_path("bert", "bert.encoder.layer.3.attention.self.query"),
            "encoder.layers.3.attention.query_proj");
  EXPECT_EQ(swift_path("roberta", "roberta.encoder.layer.0.attention.output.dense"),
            "encoder.layers.0.attention.out_proj");
  EXPECT_EQ(swift_path("xlm-roberta", "encoder.layer.11.intermediate.dense"), "encoder.layers.11.linear1");
  EXPECT_EQ(swift_path("bert", "encoder.layer.0.output.LayerNorm.weight"), "encoder.layers.0.ln2.weight");
  EXPECT_EQ(swift_path("bert", "embeddings.LayerNorm.bias"), "embeddings.norm.bias");
  EXPECT_EQ(swift_path("bert", "pooler.dense"), "pooler");
  EXPECT_EQ(swift_path("qwen3", "layers.0.mlp.up_proj"), "model.layers.0.mlp.up_proj");
  EXPECT_EQ(swift_path("qwen3", "model.norm"), "model.norm");
  EXPECT_EQ(swift_path("mpnet", "encoder.layer.0.attention.attn.q"), "encoder.layer.0.attention.attn.q");
}

TEST_F(SwiftEmbedders, LoadWhatIsWrittenForThem) {
  std::vector<fs::path> folders;
  const std::vector<std::string> mixed{"*.output.dense=8", "*.self.value=6"};
  const std::map<std::string, std::vector<std::string>> mixed_of{{"distilbert_cls", {"*.lin2=8"}},
                                                                 {"st_qwen3", {"*.down_proj=8"}}};
  for (const char* model :
       {"bert", "bert_prefix", "st_mean_norm", "roberta", "xlm_roberta", "bert_mlm_untied", "distilbert_cls",
        "camembert_ner", "roberta_cls", "bert_ner", "st_qwen3"}) {
    const fs::path source = tiny(model);
    folders.push_back(convert_to(fmt::format("plain-{}", model).c_str(), source, Layout::mlx_embeddings));
    folders.push_back(convert_to(fmt::format("mixed-{}", model).c_str(), source, Layout::mlx_embeddings,
                                 mixed_of.contains(model) ? mixed_of.at(model) : mixed));
  }
  for (const char* model : {"bert", "bert_prefix", "roberta", "xlm_roberta", "st_mean_norm"})
    folders.push_back(convert_to(fmt::format("hf-{}", model).c_str(), tiny(model), Layout::hf, mixed));
  EXPECT_THAT(said_by_the_tool(folders), Not(HasSubstr("can't load")));
  for (const fs::path& folder : folders) {
    const ReaderVerdict verdict = verdict_of(folder);
    EXPECT_TRUE(verdict.loads) << folder << ::testing::PrintToString(verdict.why);
  }
}

TEST_F(SwiftEmbedders, RefuseDamagedFolders) {
  const fs::path bert = convert_to("bert", tiny("st_mean_norm"), Layout::hf, {"*.output.dense=8"});
  std::vector<fs::path> folders;
  const auto damaged = [&](const char* name, const std::function<void(RawTensors&)>& change) {
    folders.push_back(test::changed_copy(bert, folder_ / name, change));
  };
  const auto with_config = [&](const char* name, const std::function<void(nlohmann::json&)>& change) {
    damaged(name, [](RawTensors&) {});
    test::change_config(folders.back(), change);
  };
  damaged("a bias less", [](RawTensors& t) { t.erase("encoder.layer.0.output.dense.bias"); });
  damaged("a tensor more", [](RawTensors& t) { t["extra.weight"] = t.at("embeddings.LayerNorm.bias"); });
  damaged("no scales", [](RawTensors& t) { t.erase("encoder.layer.0.output.dense.scales"); });
  damaged("no pooler", [](RawTensors& t) {
    std::erase_if(t, [](const auto& entry) { return entry.first.starts_with("pooler."); });
  });
  damaged("another shape", [](RawTensors& t) {
    test::RawTensor& bias = t.at("encoder.layer.0.output.dense.bias");
    bias.shape[0] /= 2;
    bias.data.resize(bias.data.size() / 2);
  });
  with_config("another width", [](nlohmann::json& c) { c["quantization"]["bits"] = 8; });
  with_config("no widths of its own", [](nlohmann::json& c) {
    for (const char* key : {"quantization", "quantization_config"})
      std::erase_if(c[key].get_ref<nlohmann::json::object_t&>(),
                    [](const auto& entry) { return entry.first.find("linear2") != std::string::npos; });
  });
  with_config("another family", [](nlohmann::json& c) { c["model_type"] = "distilbert"; });
  with_config("more layers", [](nlohmann::json& c) { c["num_hidden_layers"] = 3; });
  with_config("no tokenizer", [](nlohmann::json&) {});
  fs::remove(folders.back() / "tokenizer.json");
  EXPECT_EQ(said_by_the_tool({bert}), fmt::format("{}: loads\n", bert.string()));
  EXPECT_TRUE(verdict_of(bert).loads);
  const std::string said = said_by_the_tool(folders);
  for (const fs::path& folder : folders) {
    EXPECT_THAT(said, HasSubstr(folder.string() + ": can't load: "));
    if (folder.filename() == "no tokenizer") continue;  // tests/data has the files that we make one of
    try {
      EXPECT_FALSE(verdict_of(folder).loads) << folder;
    } catch (const Error&) {
      // A folder that mlx-encoder can't read, either.
    }
  }
}

// Its Qwen3 has no biases, that of mlx-embeddings has.
TEST_F(SwiftEmbedders, RefuseAQwen3WithBiases) {
  const fs::path biased = convert_to("biased", tiny("qwen3_lm"));
  EXPECT_THAT(verdict_of(biased).why, ::testing::Contains(HasSubstr("no place for")));
  EXPECT_THAT(said_by_the_tool({biased}), HasSubstr("can't load: 4 tensors have no place"));
}

TEST_F(SwiftEmbedders, WhatTheyComputeOtherwiseIsSaid) {
  const fs::path cls = convert_to("cls", tiny("st_cls"));
  EXPECT_THAT(verdict_of(cls).why, ::testing::ElementsAre(HasSubstr("goes through the pooler and tanh")));
  EXPECT_THAT(said_by_the_tool({cls}), HasSubstr("loads but differs: the first token's vector"));
  EXPECT_THAT(verdict_of(convert_to("mean", tiny("st_mean_norm"))).why, IsEmpty());
}

// sentence-transformers 5.4 renamed the keys; the conversion writes those that all readers know.
TEST_F(SwiftEmbedders, PoolingsAreWrittenInTheOldSpelling) {
  const auto pooling = [](const fs::path& folder) { return read_json(folder / "1_Pooling/config.json"); };
  ASSERT_TRUE(pooling(tiny("st_dense")).contains("pooling_mode"));
  const fs::path written = convert_to("dense", tiny("st_dense"));
  EXPECT_EQ(pooling(written), (nlohmann::json{{"word_embedding_dimension", 32},
                                              {"pooling_mode_cls_token", false},
                                              {"pooling_mode_max_tokens", false},
                                              {"pooling_mode_mean_tokens", true},
                                              {"pooling_mode_mean_sqrt_len_tokens", false},
                                              {"pooling_mode_weightedmean_tokens", false},
                                              {"pooling_mode_lasttoken", false},
                                              {"include_prompt", true}}));
  // Modes in an order that flags can't express stay as they are, and so does an old file.
  for (const char* model : {"st_concat_newest", "st_mean_norm"})
    EXPECT_EQ(test::read_file(convert_to(model, tiny(model)) / "1_Pooling/config.json"),
              test::read_file(tiny(model) / "1_Pooling/config.json"));
}

}  // namespace
}  // namespace mlxe::swift_embedders_test
