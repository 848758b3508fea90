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

// Makes two shards of a folder's weights. Removes the second, or its names from the index.
void write_shards(const fs::path& folder, bool keep_second) {
  const RawTensors all = test::read_tensors(folder / "model.safetensors");
  RawTensors shards[2];
  nlohmann::json map = nlohmann::json::object();
  const std::string names[] = {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"};
  for (const auto& [name, tensor] : all) {
    const size_t shard = name.starts_with("encoder.layer.1.") ? 1 : 0;
    shards[shard][name] = tensor;
    if (shard == 0 || !keep_second) map[name] = names[shard];
  }
  test::write_tensors(folder / names[0], shards[0]);
  if (keep_second) test::write_tensors(folder / names[1], shards[1]);
  test::write_file(folder / "model.safetensors.index.json", nlohmann::json{{"weight_map", map}}.dump());
  fs::remove(folder / "model.safetensors");
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
  EXPECT_EQ(swift_path("nomic_bert", "emb_ln.weight"), "embeddings.norm.weight");
  EXPECT_EQ(swift_path("nomic_bert", "bert.encoder.layers.0.mlp.fc11"), "encoder.layers.0.mlp.fc11");
  EXPECT_EQ(swift_path("gemma3_text", "model.layers.0.mlp.up_proj"), "model.layers.0.mlp.up_proj");
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
  with_config("widths under another name", [](nlohmann::json& c) {
    for (const char* key : {"quantization", "quantization_config"}) {
      nlohmann::json& entries = c[key];
      entries["encoder.layers.0.output.dense"] = entries.at("encoder.layers.0.linear2");
      entries.erase("encoder.layers.0.linear2");
    }
  });
  with_config("another group", [](nlohmann::json& c) { c["quantization"]["group_size"] = 64; });
  with_config("another mode", [](nlohmann::json& c) { c["quantization"]["mode"] = "mxfp4"; });
  with_config("an entry without bits", [](nlohmann::json& c) {
    c["quantization"]["encoder.layers.0.linear2"] = {{"group_size", 32}};
  });
  with_config("no quantization", [](nlohmann::json& c) {
    c.erase("quantization");
    c.erase("quantization_config");
  });
  with_config("more words", [](nlohmann::json& c) { c["vocab_size"] = c["vocab_size"].get<int>() + 1; });
  damaged("codes that are halves", [](RawTensors& t) {
    test::RawTensor& codes = t.at("encoder.layer.0.output.dense.weight");
    codes.dtype = Dtype::f16;
    codes.shape[1] *= 2;
  });
  damaged("half of the codes", [](RawTensors& t) {
    test::RawTensor& codes = t.at("encoder.layer.0.output.dense.weight");
    codes.shape[1] /= 2;
    codes.data.resize(codes.data.size() / 2);
  });
  damaged("a shard that is not there", [](RawTensors&) {});
  write_shards(folders.back(), false);
  damaged("a shard that the index leaves out", [](RawTensors&) {});
  write_shards(folders.back(), true);
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

// The feed-forwards of the published models are as wide as it takes them to be.
TEST_F(SwiftEmbedders, LoadANomicBert) {
  const fs::path wide = test::changed_copy(tiny("st_nomic"), folder_ / "wide", [](RawTensors& t) {
    for (auto& [name, tensor] : t)
      if (name.find(".mlp.fc") != name.npos)
        tensor = test::float_tensor(name.find(".fc2.") != name.npos ? Shape{32, 256} : Shape{256, 32},
                                    test::random_weights(256 * 32, 1));
  });
  test::change_config(wide, [](nlohmann::json& c) { c["n_inner"] = 256; });
  const fs::path mixed = convert_to("mixed-nomic", wide, Layout::hf, {"*.fc2=8", "*.Wqkv=6"});
  EXPECT_EQ(said_by_the_tool({mixed}), fmt::format("{}: loads\n", mixed.string()));
  EXPECT_TRUE(verdict_of(mixed).loads) << ::testing::PrintToString(verdict_of(mixed).why);
  EXPECT_THAT(verdict_of(mixed).why, IsEmpty());
  // 64 columns, for which it takes 256.
  const fs::path narrow = convert_to("narrow-nomic", tiny("st_nomic"));
  EXPECT_THAT(said_by_the_tool({narrow}), HasSubstr("can't load"));
  EXPECT_THAT(verdict_of(narrow).why, ::testing::Contains(HasSubstr("n_inner")));
}

// It asks for the prefix that the files of EmbeddingGemma lack. What it then computes is another model.
TEST_F(SwiftEmbedders, LoadAGemma3WithItsPrefixAndComputeItOtherwise) {
  EXPECT_FALSE(verdict_of(tiny("st_gemma3")).loads);
  const fs::path prefixed = test::changed_copy(tiny("st_gemma3"), folder_ / "prefixed", [](RawTensors& t) {
    RawTensors named;
    for (auto& [name, tensor] : t) named["model." + name] = std::move(tensor);
    t = std::move(named);
  });
  const fs::path mixed = convert_to("mixed-gemma", prefixed, Layout::hf, {"*.down_proj=8"});
  EXPECT_THAT(said_by_the_tool({mixed}), HasSubstr("loads but differs: it attends to earlier tokens only"));
  EXPECT_TRUE(verdict_of(mixed).loads) << ::testing::PrintToString(verdict_of(mixed).why);
  EXPECT_THAT(verdict_of(mixed).why, ::testing::Contains("it attends to earlier tokens only"));
  test::change_config(mixed, [](nlohmann::json& c) { c.erase("head_dim"); });
  EXPECT_THAT(said_by_the_tool({mixed}), HasSubstr("can't load"));
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
  const fs::path newer = convert_to("newer spelling", tiny("st_mean_norm"));
  test::write_file(newer / "1_Pooling/config.json", R"({"embedding_dimension": 32, "pooling_mode": "mean"})");
  EXPECT_THAT(verdict_of(newer).why, ::testing::ElementsAre(HasSubstr("newer spelling")));
  EXPECT_THAT(said_by_the_tool({newer}),
              HasSubstr("loads but differs: 1_Pooling/config.json can't be decoded"));
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
