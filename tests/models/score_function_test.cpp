// The function from logits to scores: a CrossEncoder's activation, in the place of each version, else the
// function of transformers' pipeline. Also the heads of folders whose config.json is incomplete or
// contradictory.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <optional>

#include "mlx_encoder/convert.h"
#include "mlx_encoder/encoder.h"
#include "model_folders.h"

namespace mlxe::score_function_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kIdentity = "torch.nn.modules.linear.Identity";
constexpr const char* kSigmoid = "torch.nn.modules.activation.Sigmoid";

class CrossEncoderFolder : public ::testing::Test {
 protected:
  test::TemporaryFolder parent_;
  fs::path folder_;
  test::Heard heard_;

  void copy(const char* model) {
    folder_ = parent_ / "model";
    fs::remove_all(folder_);
    fs::copy(test::tiny(model), folder_, fs::copy_options::recursive);
    heard_.sentences.clear();
  }
  // Writes the file that CrossEncoder saves since 5.4.
  void save_as_cross_encoder(const json& settings) {
    json library = settings;
    library["model_type"] = "CrossEncoder";
    test::write_file(folder_ / "config_sentence_transformers.json", library.dump());
    test::write_file(
        folder_ / "modules.json",
        R"([{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}])");
    test::write_file(folder_ / "sentence_bert_config.json",
                     R"({"transformer_task": "sequence-classification", "module_output_name": "scores",
                         "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}}})");
  }
  Encoder load() { return Encoder::load(folder_, {.engine = EngineKind::cpu, .warning = heard_.warning()}); }
  std::string function() { return load().info().score_function; }
  Prediction predict(const std::string& text = "the cat") {
    const std::vector<TextInput> texts{{text, "the road"}};
    return load().classify(texts).at(0);
  }
};

TEST_F(CrossEncoderFolder, WithoutASettingScoresAreTransformersPipelines) {
  for (const auto& [model, expected] :
       std::vector<std::pair<const char*, const char*>>{{"roberta_cls", "softmax"},
                                                        {"bert_multilabel", "sigmoid"},
                                                        {"bert_regression", "identity"},
                                                        {"bert", ""}}) {
    copy(model);
    EXPECT_EQ(function(), expected) << model;
  }
}

TEST_F(CrossEncoderFolder, ItsActivationIsUsedFromEachPlaceItWasKeptIn) {
  const std::vector<std::function<void(const char*)>> places{
      [&](const char* path) {
        test::change_config(folder_, [&](json& c) { c["sbert_ce_default_activation_function"] = path; });
      },
      [&](const char* path) {
        test::change_config(folder_, [&](json& c) {
          c["sentence_transformers"] = {{"activation_fn", path}, {"version", "4.1.0"}};
        });
      },
      [&](const char* path) {
        save_as_cross_encoder({{"activation_fn", path}});
      }};
  for (size_t place = 0; place < places.size(); ++place) {
    copy("bert_prefix");
    places[place](kIdentity);
    const Prediction raw = predict();
    EXPECT_EQ(raw.scores, raw.logits) << place;
    places[place](kSigmoid);
    const Prediction squashed = predict();
    for (size_t i = 0; i < raw.logits.size(); ++i)
      EXPECT_FLOAT_EQ(squashed.scores[i], 1 / (1 + std::exp(-raw.logits[i]))) << place;
    EXPECT_THAT(heard_.sentences, IsEmpty());
    places[place]("my_package.Calibrated");
    EXPECT_EQ(function(), "identity") << "CrossEncoder's default for several labels";
    EXPECT_THAT(heard_.sentences, ElementsAre(HasSubstr("\"my_package.Calibrated\", no class of torch")));
    places[place]("torch.nn.modules.activation.Softplus");
    EXPECT_THAT(test::error_text([&] { load(); }, ErrorCode::unsupported), HasSubstr("Softplus"));
    heard_.sentences.clear();
  }
  // The newer place takes precedence.
  copy("bert_prefix");
  places[0](kSigmoid);
  places[1](kIdentity);
  EXPECT_EQ(function(), "identity");
}

TEST_F(CrossEncoderFolder, ItsActivationIsThatOfAConversion) {
  for (const char* activation : {kIdentity, kSigmoid})
    for (int place = 0; place < 3; ++place) {
      SCOPED_TRACE(fmt::format("{}, place {}", activation, place));
      copy("bert_prefix");
      if (place == 2) {
        save_as_cross_encoder({{"activation_fn", activation}});
      } else {
        test::change_config(folder_, [&](json& c) {
          if (place == 0) c["sbert_ce_default_activation_function"] = activation;
          if (place == 1) c["sentence_transformers"] = {{"activation_fn", activation}, {"version", "4.1.0"}};
        });
      }
      const std::string expected = function();
      const Prediction original = predict();
      for (const int bits : {8, 6}) {
        ConvertOptions o{.model = parent_ / "model",
                         .output = parent_ / "converted",
                         .scheme = {Mode::affine, bits, 32, Dtype::f16}};
        fs::remove_all(o.output);
        convert(o);
        folder_ = o.output;
        EXPECT_EQ(function(), expected);
        const Prediction found = predict();
        ASSERT_EQ(found.scores.size(), original.scores.size());
        // The tiny model's logits are below 1: rounding to 6 bits changes them by a few hundredths.
        for (size_t i = 0; i < found.scores.size(); ++i)
          EXPECT_NEAR(found.scores[i], original.scores[i], 0.15);
        if (expected == "identity") {
          EXPECT_EQ(found.scores, found.logits);
        }
        folder_ = parent_ / "model";
      }
    }
}

// The CrossEncoder settings of a SentenceTransformer, or of a plain folder, are not used.
TEST_F(CrossEncoderFolder, SettingsOfAnotherKindOfModelAreNotUsed) {
  copy("bert_prefix");
  save_as_cross_encoder({{"activation_fn", kIdentity}});
  fs::remove(folder_ / "modules.json");
  EXPECT_EQ(function(), "softmax");
}

TEST_F(CrossEncoderFolder, ItsDefaultPromptGoesBeforeTheFirstText) {
  copy("bert_prefix");
  save_as_cross_encoder({{"activation_fn", kIdentity}});
  const Prediction plain = predict("the cat"), typed = predict("the river the cat");
  save_as_cross_encoder(
      {{"activation_fn", kIdentity}, {"prompts", {{"q", "the river "}}}, {"default_prompt_name", "q"}});
  EXPECT_EQ(predict("the cat").logits, typed.logits);
  EXPECT_NE(plain.logits, typed.logits);
  // The default prompt is for classify(): embed() has none.
  const std::vector<std::string> text{"the cat"};
  const Encoder encoder = load();
  EXPECT_EQ(encoder.embed(text).values, encoder.embed(text, {.prompt = ""}).values);
}

TEST_F(CrossEncoderFolder, WarningsOfItsFilesAreHeard) {
  copy("bert_prefix");
  save_as_cross_encoder({{"activation_fn", kIdentity}, {"zeta", 1}});
  load();
  EXPECT_THAT(heard_.sentences, ElementsAre(HasSubstr("\"zeta\" is not known")));
}

// ---- odd values of config.json that transformers accepts

class OddConfig : public CrossEncoderFolder {
 protected:
  std::vector<std::string> labels(const std::function<void(json&)>& change) {
    test::change_config(folder_, change);
    heard_.sentences.clear();
    const Encoder encoder = load();
    return encoder.info().labels.empty() ? encoder.info().token_labels : encoder.info().labels;
  }
};

TEST_F(OddConfig, AClassOfAnotherModelCountsByItsEnding) {
  for (const auto& [model, name] : std::vector<std::pair<const char*, const char*>>{
           {"xlm_roberta_cls", "RobertaForSequenceClassification"},
           {"bert_prefix", "MyForSequenceClassification"},
           {"bert_ner", "ElectraForTokenClassification"}}) {
    copy(model);
    const size_t expected = load().info().labels.size() + load().info().token_labels.size();
    EXPECT_EQ(labels([&](json& c) { c["architectures"] = {name}; }).size(), expected) << name;
    EXPECT_THAT(heard_.sentences, ElementsAre(HasSubstr(name))) << model;
  }
}

TEST_F(OddConfig, GroupsWithoutLayersAreRefused) {
  copy("albert_cls");
  test::change_config(folder_, [](json& c) { c["num_hidden_groups"] = 3; });
  EXPECT_THAT(test::error_text([&] { load(); }, ErrorCode::format),
              HasSubstr("\"num_hidden_groups\" is 3, expected at most \"num_hidden_layers\" 2"));
}

TEST_F(OddConfig, WithoutAKnownClassTheTensorsDecide) {
  const std::vector<json> odd{nullptr, json::array(), {"MyReranker"}};
  for (const char* model : {"bert_prefix", "roberta_cls", "distilbert_cls", "bert_ner", "roberta_ner",
                            "albert_cls", "albert_ner"}) {
    copy(model);
    const std::vector<std::string> expected = labels([](json&) {});
    ASSERT_THAT(expected, ::testing::Not(IsEmpty()));
    for (const json& classes : odd) {
      EXPECT_EQ(labels([&](json& c) { c["architectures"] = classes; }), expected) << model << classes;
      EXPECT_THAT(heard_.sentences, Contains(HasSubstr("its weights are read as"))) << model << classes;
    }
    labels([](json& c) { c.erase("architectures"); });
    EXPECT_THAT(heard_.sentences, Contains(HasSubstr("names no class; its weights are read as"))) << model;
  }
  copy("bert");
  EXPECT_THAT(labels([](json& c) { c["architectures"] = nullptr; }), IsEmpty());
  EXPECT_THAT(labels([](json& c) { c["architectures"] = "BertModel"; }), IsEmpty())
      << "a string is a list of one";
}

TEST_F(OddConfig, AHeadThatIsAnotherTasksIsNoClassifier) {
  copy("bert_prefix");
  EXPECT_THAT(labels([](json& c) { c["architectures"] = {"BertForNextSentencePrediction"}; }), IsEmpty());
}

TEST_F(OddConfig, NumbersAsLabelsAndAnEpsilonOfZeroLoad) {
  copy("bert_prefix");
  EXPECT_THAT(labels([](json& c) {
                c["id2label"] = {{"0", 1}, {"1", 2}, {"2", nullptr}};
                c["num_labels"] = 2;
                c["layer_norm_eps"] = 0;
                c["_num_labels"] = 3;
                c["eos_token_ids"] = 0;
              }),
              ElementsAre("1", "2", "LABEL_2"));
  EXPECT_THAT(heard_.sentences, ::testing::SizeIs(4)) << "one for each label, one for num_labels";
  EXPECT_TRUE(std::isfinite(predict().logits[0]));
}

TEST_F(OddConfig, TheTokenizerClassOfTransformers5IsKnown) {
  copy("bert_prefix");
  json tokenizer = read_json(folder_ / "tokenizer_config.json");
  tokenizer["tokenizer_class"] = "TokenizersBackend";
  test::write_file(folder_ / "tokenizer_config.json", tokenizer.dump());
  load();
  EXPECT_THAT(heard_.sentences, IsEmpty());
}

// ---- options that exclude each other

TEST(Options, OfWhichOneWouldBeIgnoredAreRefused) {
  for (const Activations activations : {Activations::int8, Activations::bf16})
    EXPECT_THAT(test::error_text(
                    [&] {
                      Encoder::load(test::tiny("bert"),
                                    {.engine = EngineKind::mlx, .activations = activations});
                    },
                    ErrorCode::usage),
                HasSubstr("expected float32; choose float32 or the cpu engine"));
  const Encoder encoder = Encoder::load(test::tiny("st_prompts"), {.engine = EngineKind::cpu});
  const std::vector<std::string> texts{"the cat"};
  EXPECT_THAT(test::error_text([&] { encoder.embed(texts, {.prompt_name = "query", .prompt = ""}); },
                               ErrorCode::usage),
              HasSubstr("give one of the two"));
}

}  // namespace
}  // namespace mlxe::score_function_test
