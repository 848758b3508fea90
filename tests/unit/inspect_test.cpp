#include "mlx_encoder/inspect.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "mlx_encoder/convert.h"
#include "model_folders.h"

namespace mlxe::inspect_test {
namespace {

namespace fs = std::filesystem;
using test::RawTensors;
using test::TemporaryFolder;
using test::tiny;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

fs::path converted(const TemporaryFolder& folder, const char* model, const Scheme& scheme,
                   Layout layout = Layout::hf) {
  const fs::path out = folder / (std::string(name(scheme.mode)) + "-" + model);
  convert({.model = tiny(model), .output = out, .scheme = scheme, .layout = layout});
  return out;
}

fs::path converted(const TemporaryFolder& folder, const fs::path& model, const Scheme& scheme,
                   Layout layout = Layout::hf) {
  const fs::path out = folder / (model.filename().string() + "-converted");
  convert({.model = model, .output = out, .scheme = scheme, .layout = layout});
  return out;
}

constexpr Scheme kAffine4{.mode = Mode::affine, .bits = 4, .group_size = 32, .dtype = Dtype::f16};
constexpr Scheme kInt8{.mode = Mode::int8, .bits = 8};
constexpr Scheme kFake{.mode = Mode::fake, .bits = 8};

const ReaderVerdict& reader(const Inspection& in, std::string_view name) {
  return *std::ranges::find(in.readers, name, &ReaderVerdict::reader);
}

TEST(Inspect, FloatModelsOfEveryTypeAreFloat) {
  for (const char* model : {"bert", "bert_f16", "bert_bf16", "bert_f64", "bert_odd", "bert_old_names",
                            "bert_sharded", "distilbert_cls", "roberta", "xlm_roberta_cls", "st_dense"}) {
    const Inspection in = inspect_model(tiny(model));
    EXPECT_EQ(in.diagnosis, Diagnosis::plain) << model << ": " << ::testing::PrintToString(in.evidence);
    EXPECT_TRUE(reader(in, "mlx-encoder").loads)
        << model << ::testing::PrintToString(reader(in, "mlx-encoder").why);
    EXPECT_GT(in.bytes_at_8_bits, 0u) << model;
  }
}

TEST(Inspect, ProposesTheModeThatQuantizesTheModelAndItsTrueSize) {
  const Inspection groups = inspect_model(tiny("bert"));
  EXPECT_EQ(groups.mode_at_8_bits, Mode::affine);
  // 24 and 48 columns: no group size divides them; one scale a row (int8) fits.
  const TemporaryFolder folder;
  const Inspection rows = inspect_model(tiny("bert_f64"));
  EXPECT_EQ(rows.mode_at_8_bits, Mode::int8);
  EXPECT_EQ(rows.bytes_at_8_bits,
            convert({.model = tiny("bert_f64"), .output = folder / "out", .scheme = kInt8}).bytes);
}

TEST(Inspect, EveryQuantizedLayoutIsRecognised) {
  const TemporaryFolder folder;
  for (const Scheme& scheme :
       {kAffine4, Scheme{Mode::mxfp8, 8, 32, Dtype::f16}, Scheme{Mode::nvfp4, 4, 16, Dtype::f16}}) {
    const Inspection in = inspect_model(converted(folder, "bert", scheme));
    EXPECT_EQ(in.diagnosis, Diagnosis::mlx);
    EXPECT_LT(in.bits_per_weight, 12);
  }
  EXPECT_EQ(inspect_model(converted(folder, "bert", kInt8)).diagnosis, Diagnosis::int8);
  // Dequantized, rows of two groups have no common grid: a plain model that claims nothing.
  dequantize_model(
      {.model = converted(folder, "bert_f16", kAffine4), .output = folder / "plain", .dtype = Dtype::f32});
  EXPECT_EQ(inspect_model(folder / "plain").diagnosis, Diagnosis::plain);
}

TEST(Inspect, FakeQuantizationIsCalledThatWithEvidence) {
  const TemporaryFolder folder;
  const fs::path fake = converted(folder, "bert", kFake);
  const Inspection in = inspect_model(fake);
  EXPECT_EQ(in.diagnosis, Diagnosis::fake);
  EXPECT_THAT(
      in.evidence,
      Contains(HasSubstr("13 of 16 matrices hold values of a quantization but are stored as floats")));
  EXPECT_THAT(in.evidence, Contains(HasSubstr("on an even grid of step")));
  EXPECT_THAT(in.evidence, Contains(HasSubstr("26 .scale and .zero_point tensors")));
  EXPECT_GT(in.bits_per_weight, 32);  // floats, plus the stray tensors
  EXPECT_EQ(in.bytes_at_8_bits, plan_conversion({.model = fake}).predicted_bytes);
  EXPECT_LT(in.bytes_at_8_bits, in.bytes / 3);

  // As seen in published models: without our key in config.json; then also without the stray tensors.
  test::change_config(fake, [](nlohmann::json& c) { c.erase("mlx_encoder"); });
  EXPECT_EQ(inspect_model(fake).diagnosis, Diagnosis::fake);
  const fs::path bare = test::changed_copy(fake, folder / "bare", [](RawTensors& t) {
    std::erase_if(t, [](const auto& item) {
      return item.first.ends_with(".scale") || item.first.ends_with(".zero_point");
    });
  });
  const Inspection by_values = inspect_model(bare);
  EXPECT_EQ(by_values.diagnosis, Diagnosis::fake);
  EXPECT_NEAR(by_values.bits_per_weight, 32, 1e-9);

  // The twin: noise of a hundredth of a step destroys the grid, and so the diagnosis.
  const fs::path noisy = test::changed_copy(bare, folder / "noisy", [](RawTensors& t) {
    for (auto& [name, tensor] : t) {
      if (tensor.shape.size() != 2) continue;
      std::vector<float> values = test::floats(tensor);
      const auto noise = test::random_weights(values.size(), 3, 1e-3);
      for (size_t i = 0; i < values.size(); ++i) values[i] += noise[i];
      tensor = test::float_tensor(tensor.shape, values);
    }
  });
  EXPECT_EQ(inspect_model(noisy).diagnosis, Diagnosis::plain);
}

TEST(Inspect, AnAnnouncedQuantizationThatIsNotThereIsFake) {
  const TemporaryFolder folder;
  fs::copy(tiny("bert"), folder / "model", fs::copy_options::recursive);
  test::change_config(folder / "model", [](nlohmann::json& c) {
    c["quantization"] = {{"bits", 8}, {"group_size", 64}};
  });
  const Inspection in = inspect_model(folder / "model");
  EXPECT_EQ(in.diagnosis, Diagnosis::fake);
  EXPECT_THAT(in.evidence, Contains(HasSubstr("announces quantization, but no tensor is stored quantized")));
}

TEST(Inspect, MixedIsMoreThanOneKind) {
  const TemporaryFolder folder;
  const fs::path mlx = converted(folder, "bert", kAffine4), int8 = converted(folder, "bert", kInt8);
  const RawTensors other = test::read_tensors(int8 / "model.safetensors");
  const fs::path mixed = test::changed_copy(mlx, folder / "mixed", [&](RawTensors& t) {
    t.erase("pooler.dense.scales");
    t.erase("pooler.dense.biases");
    for (const char* end : {"", ".scale", ".zero_point"})
      t["pooler.dense.weight" + std::string(end)] = other.at("pooler.dense.weight" + std::string(end));
  });
  EXPECT_EQ(inspect_model(mixed).diagnosis, Diagnosis::mixed);
}

TEST(Inspect, OtherToolsFormatsAreUnknown) {
  const TemporaryFolder folder;
  fs::copy(tiny("bert"), folder / "gptq", fs::copy_options::recursive);
  test::change_config(folder / "gptq", [](nlohmann::json& c) {
    c["quantization_config"] = {{"quant_method", "gptq"}, {"bits", 4}};
  });
  const Inspection foreign = inspect_model(folder / "gptq");
  EXPECT_EQ(foreign.diagnosis, Diagnosis::unknown);
  EXPECT_THAT(foreign.evidence, ElementsAre(HasSubstr("gptq")));
  EXPECT_FALSE(foreign.tensors.empty());

  const fs::path torn = test::changed_copy(converted(folder, "bert", kAffine4), folder / "torn",
                                           [](RawTensors& t) { t.erase("pooler.dense.biases"); });
  const Inspection in = inspect_model(torn);
  EXPECT_EQ(in.diagnosis, Diagnosis::unknown);
  EXPECT_THAT(in.evidence, Contains(HasSubstr("pooler.dense.biases")));
  EXPECT_FALSE(reader(in, "mlx-encoder").loads);
}

TEST(Inspect, AddsUpWhereTheBytesGo) {
  const Inspection in = inspect_model(tiny("distilbert_cls"));
  uint64_t bytes = 0, parameters = 0;
  std::vector<std::string> components;
  for (const ComponentSize& c : in.components) {
    bytes += c.bytes;
    parameters += c.parameters;
    components.push_back(c.component);
  }
  EXPECT_EQ(parameters, in.parameters);
  EXPECT_EQ(bytes, 4 * parameters);
  EXPECT_THAT(components,
              ::testing::UnorderedElementsAre("embeddings", "attention", "feed-forward", "norms", "head"));
  for (const InspectedTensor& t : in.tensors) {
    if (t.name.find("lin1") != std::string::npos) {
      EXPECT_EQ(t.component, "feed-forward") << t.name;
    }
    if (t.name.find("q_lin") != std::string::npos) {
      EXPECT_EQ(t.component, "attention") << t.name;
    }
    if (t.name.find("layer_norm") != std::string::npos) {
      EXPECT_EQ(t.component, "norms") << t.name;
    }
    if (t.name.find("classifier") != std::string::npos) {
      EXPECT_EQ(t.component, "head") << t.name;
    }
  }
}

// Each verdict was checked against the real mlx-embeddings 0.1.0 (tools/make_readers_table.py).
TEST(Inspect, KnowsWhatMlxEmbeddingsLoads) {
  const TemporaryFolder folder;
  const auto verdict = [](const fs::path& model) { return reader(inspect_model(model), "mlx-embeddings"); };
  // What --layout mlx-embeddings can't write is not promised.
  EXPECT_THAT(verdict(tiny("electra")).why, ElementsAre("it has no model for \"electra\""));
  // config.json says "bert".
  EXPECT_EQ(inspect_model(tiny("jina_bert")).model_type, "jina_bert");
  EXPECT_FALSE(verdict(tiny("jina_bert")).loads);
  EXPECT_THAT(verdict(converted(folder, "jina_bert", kAffine4)).why,
              ElementsAre("it has no model for \"jina_bert\""));
  // Its ModernBERT takes the encoder alone, but no head for tokens and no bias in a head's dense.
  EXPECT_TRUE(verdict(tiny("modernbert")).loads);
  EXPECT_THAT(
      verdict(tiny("modernbert")).why,
      ElementsAre(HasSubstr("GELU by a formula"), HasSubstr("takes the first token's vector; this model")));
  EXPECT_FALSE(verdict(tiny("modernbert_ner")).loads);
  EXPECT_FALSE(verdict(tiny("modernbert_cls")).loads);
  // Its Qwen3 takes the last token's vector, adds the prefix and skips lm_head, but knows no windows.
  EXPECT_THAT(verdict(tiny("st_qwen3")).why, ::testing::IsEmpty());
  EXPECT_THAT(verdict(tiny("qwen3_lm")).why, ::testing::IsEmpty());
  EXPECT_TRUE(verdict(tiny("qwen3")).loads);
  EXPECT_THAT(verdict(tiny("qwen3")).why, Contains(HasSubstr("computes no windows")));
  EXPECT_TRUE(verdict(tiny("bert")).loads);
  EXPECT_TRUE(verdict(tiny("xlm_roberta")).loads);
  EXPECT_TRUE(verdict(converted(folder, "bert", kAffine4)).loads);
  for (const char* model : {"bert_prefix", "distilbert_cls", "roberta_cls", "xlm_roberta_cls"}) {
    EXPECT_FALSE(verdict(tiny(model)).loads) << model;
    const ReaderVerdict theirs = verdict(converted(folder, model, kAffine4, Layout::mlx_embeddings));
    EXPECT_TRUE(theirs.loads) << model << ::testing::PrintToString(theirs.why);
  }
  EXPECT_THAT(verdict(tiny("distilbert")).why, ElementsAre(HasSubstr("model_type \"distilbert\"")));
  EXPECT_THAT(verdict(tiny("bert_old_names")).why, Contains(HasSubstr("tensors it has no place for")));
  EXPECT_THAT(verdict(tiny("st_dense")).why, Contains(HasSubstr("2_Dense")));
  EXPECT_FALSE(verdict(converted(folder, "bert", kInt8)).loads);
  EXPECT_THAT(verdict(tiny("bert_f64")).why, ElementsAre(HasSubstr("tensors are F64")));
  // mlx-embeddings loads it but computes something else.
  const ReaderVerdict relu = verdict(tiny("bert_relu"));
  EXPECT_TRUE(relu.loads);
  EXPECT_THAT(relu.why, ElementsAre(HasSubstr("exact GELU")));
}

// The verdicts on both versions were checked against both; main is a checkout that --main of that tool names.
TEST(Inspect, SaysForEachVersionOfMlxEmbeddingsWhatItDoes) {
  const auto verdict = [](const char* model, const char* version) {
    const Inspection in = inspect_model(tiny(model));
    return *std::ranges::find_if(in.readers, [&](const ReaderVerdict& r) {
      return r.reader == "mlx-embeddings" && r.version.starts_with(version);
    });
  };
  for (const char* pooled : {"st_cls", "st_max"}) {
    EXPECT_THAT(verdict(pooled, "0.1.0").why, ElementsAre(HasSubstr("0.1.0 averages the token vectors")));
    EXPECT_TRUE(verdict(pooled, "main").loads);
    EXPECT_THAT(verdict(pooled, "main").why, IsEmpty());
  }
  const std::pair<const char*, const char*> refused[] = {
      {"st_weightedmean", "asks for weighted mean"},
      {"st_concat", "concatenates several poolings"},
      {"st_concat_newest", "concatenates several poolings"},
      {"st_prompts", "leaves out the tokens of prompts"}};
  for (const auto& [model, why] : refused) {
    EXPECT_TRUE(verdict(model, "0.1.0").loads) << model;
    EXPECT_FALSE(verdict(model, "main").loads) << model;
    EXPECT_THAT(verdict(model, "main").why, Contains(HasSubstr(why)));
  }
  EXPECT_THAT(verdict("st_qwen3", "main").why, IsEmpty());
  EXPECT_FALSE(verdict("electra", "main").loads);
}

// Two linears after the pooling, as EmbeddingGemma has them, and layers as the loader takes them.
fs::path embedding_gemma(const TemporaryFolder& folder) {
  const fs::path model = folder / "gemma";
  fs::copy(tiny("st_gemma3"), model, fs::copy_options::recursive);
  test::change_config(model, [](nlohmann::json& c) {
    c["layer_types"] = {"sliding_attention", "sliding_attention"};
    c["sliding_window"] = 512;
  });
  for (const auto& [module, out, in] : {std::tuple{"2_Dense", 128, 32}, {"3_Dense", 32, 128}}) {
    test::write_tensors(
        model / module / "model.safetensors",
        {{"linear.weight", test::float_tensor({out, in}, test::random_weights(128 * 32, 1))}});
    test::change_config(model / module, [&](nlohmann::json& c) {
      c["in_features"] = in;
      c["out_features"] = out;
      c["bias"] = false;
      c["activation_function"] = "torch.nn.modules.linear.Identity";
    });
  }
  return model;
}

TEST(Inspect, KnowsWhatMlxEmbeddingsMakesOfAGemma3) {
  const TemporaryFolder folder;
  const fs::path model = embedding_gemma(folder);
  const auto verdict = [](const fs::path& of) { return reader(inspect_model(of), "mlx-embeddings"); };
  EXPECT_TRUE(verdict(model).loads) << ::testing::PrintToString(verdict(model).why);
  EXPECT_THAT(verdict(model).why, ElementsAre(HasSubstr("generate() fails")));
  const ReaderVerdict quantized = verdict(converted(folder, model, kAffine4));
  EXPECT_TRUE(quantized.loads) << ::testing::PrintToString(quantized.why);
  EXPECT_THAT(quantized.why, Contains(HasSubstr("quantized table by 5, not by 5.66")));
  EXPECT_THAT(verdict(tiny("st_gemma3")).why, Contains(HasSubstr("two Dense modules without biases")));
  EXPECT_FALSE(verdict(tiny("gemma3")).loads);
  EXPECT_FALSE(verdict(tiny("gemma3_lm")).loads);
}

TEST(Inspect, KnowsThatATiedTableOfAModernBertHasToBeFloat) {
  const TemporaryFolder folder;
  const ReaderVerdict theirs =
      reader(inspect_model(converted(folder, "modernbert_mlm", kAffine4)), "mlx-embeddings");
  EXPECT_FALSE(theirs.loads);
  EXPECT_THAT(theirs.why, Contains(HasSubstr("--keep embeddings.tok_embeddings")));
}

TEST(Inspect, KnowsWhatMlxLmLoads) {
  const TemporaryFolder folder;
  const auto verdict = [](const fs::path& model) { return reader(inspect_model(model), "mlx-lm"); };
  EXPECT_THAT(verdict(tiny("bert")).why, ElementsAre(HasSubstr("language models only")));
  EXPECT_FALSE(verdict(tiny("st_qwen3")).loads);  // no prefix, and a head that it asks for
  const fs::path tied = folder / "tied";
  fs::copy(tiny("st_qwen3"), tied, fs::copy_options::recursive);
  test::change_config(tied, [](nlohmann::json& c) { c["tie_word_embeddings"] = true; });
  EXPECT_FALSE(verdict(tied).loads);
  const ReaderVerdict theirs = verdict(converted(folder, tied, kAffine4, Layout::mlx_embeddings));
  EXPECT_TRUE(theirs.loads) << ::testing::PrintToString(theirs.why);
  EXPECT_THAT(theirs.why, IsEmpty());
  EXPECT_THAT(verdict(tiny("gemma3_lm")).why, Contains(HasSubstr("bias")));
}

// mlx-embeddings' own converter copies modules.json, but not the folders that it names.
TEST(Inspect, JudgesReadersOfAFolderWhoseModulesAreMissing) {
  const TemporaryFolder folder;
  const fs::path model = converted(folder, "st_mean_norm", kAffine4);
  fs::remove_all(model / "1_Pooling");
  const Inspection in = inspect_model(model);
  EXPECT_THAT(reader(in, "mlx-encoder").why, ElementsAre(HasSubstr("copy it from the original model")));
  EXPECT_TRUE(reader(in, "mlx-embeddings").loads);
  EXPECT_THAT(reader(in, "mlx-embeddings").why, ElementsAre(HasSubstr("how it pools was not compared")));
  EXPECT_TRUE(reader(in, "MLXEmbedders (Swift)").loads);
  EXPECT_THAT(reader(in, "MLXEmbedders (Swift)").why,
              ElementsAre(HasSubstr("can't be read"), HasSubstr("its vector is the pooler's")));
}

// What a judge reads of config.json by itself may be anything.
TEST(Inspect, JudgesReadersOfOddConfigs) {
  const nlohmann::json odd[] = {
      nullptr, true, -1, 0, 1e300, -1e300, "x", nlohmann::json::array(), nlohmann::json::object()};
  const std::pair<const char*, std::vector<const char*>> keys_of[] = {
      {"modernbert",
       {"architectures", "classifier_pooling", "global_attn_every_n_layers", "global_rope_theta",
        "local_attention", "local_rope_theta"}},
      {"gemma3",
       {"head_dim", "num_attention_heads", "num_key_value_heads", "query_pre_attn_scalar",
        "rope_local_base_freq", "rope_theta", "sliding_window_pattern", "text_config"}},
      {"qwen3", {"head_dim", "rope_parameters", "rope_theta", "tie_word_embeddings"}},
      {"nomic_bert", {"n_embd", "n_head", "n_inner", "n_layer", "rotary_emb_base", "type_vocab_size"}}};
  const TemporaryFolder folder;
  int judged = 0;
  for (const auto& [model, keys] : keys_of)
    for (const char* key : keys) {
      const fs::path copy = folder / model;
      fs::copy(tiny(model), copy, fs::copy_options::recursive);
      const std::string config = test::read_file(copy / "config.json");
      for (const nlohmann::json& value : odd) {
        test::write_file(copy / "config.json", config);
        test::change_config(copy, [&](nlohmann::json& c) { c[key] = value; });
        try {
          judged += static_cast<int>(inspect_model(copy, 1).readers.size());
        } catch (const Error&) {
        }
      }
      fs::remove_all(copy);
    }
  EXPECT_GT(judged, 500);
}

TEST(Inspect, ListsKeysNothingUses) {
  const TemporaryFolder folder;
  fs::copy(tiny("bert"), folder / "model", fs::copy_options::recursive);
  test::change_config(folder / "model", [](nlohmann::json& c) { c["hidden_dropoff"] = 1; });
  EXPECT_THAT(inspect_model(folder / "model").unknown_keys, ElementsAre("hidden_dropoff"));
  EXPECT_THAT(inspect_model(tiny("bert")).unknown_keys, IsEmpty());
}

TEST(Inspect, AFolderThatIsNoModelIsAnError) {
  const TemporaryFolder folder;
  test::error_text([&] { inspect_model(folder / "absent"); }, ErrorCode::not_found);
  test::error_text([&] { inspect_model(folder.path()); }, ErrorCode::not_found);
}

}  // namespace
}  // namespace mlxe::inspect_test
