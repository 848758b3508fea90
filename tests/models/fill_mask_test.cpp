// Masks filled in as transformers' fill-mask pipeline does, and what is said where that is impossible.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "golden.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/encoder.h"
#include "model_folders.h"

namespace mlxe::fill_mask_test {
namespace {

using nlohmann::json;
using test::changed_copy;
using test::error_text;
using test::RawTensors;
using test::tiny;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kFolders[] = {
    "bert_mlm",       "bert_mlm_untied",     "distilbert_mlm", "roberta_mlm",
    "albert_mlm",     "electra_mlm",         "mpnet_mlm",      "deberta_mlm",
    "modernbert_mlm", "modernbert_mlm_bias", "deberta_v2_mlm", "mobilebert_mlm",
    "eurobert_mlm",   "nomic_bert_mlm",      "new_mlm",        "jina_v3_mlm"};

Encoder load(const std::filesystem::path& folder, EngineKind engine = EngineKind::cpu) {
  return Encoder::load(folder, {.engine = engine, .activations = Activations::float32});
}

// A logit may be off by the tolerance times the largest logit. With logits below 10, a probability is then off by
// exp(2 * 10 * tolerance) - 1 of itself at most; the golden has scores rounded to 9 places.
double allowed(double score) {
  return score * 20 * test::kParityTolerance + 1e-9;
}

class FillMask : public ::testing::TestWithParam<test::EngineAndFolder> {};

TEST_P(FillMask, EqualsThePipeline) {
  const auto [engine, name] = GetParam();
  std::string why_not;
  if (!test::make_engine(engine, why_not)) GTEST_SKIP() << why_not;
  const Encoder encoder = load(tiny(name), parse_engine(engine));
  for (const json& expected : read_json(tiny(name) / "fill_mask.json")) {
    const std::string text = expected["text"];
    SCOPED_TRACE(text);
    FillMaskOptions options;
    if (expected.contains("targets")) options.targets = expected["targets"].get<std::vector<std::string>>();
    const auto found = encoder.fill_mask(std::vector{text}, options)[0];
    ASSERT_EQ(found.size(), expected["masks"].size());
    for (size_t m = 0; m < found.size(); ++m) {
      ASSERT_EQ(found[m].fills.size(), expected["masks"][m].size());
      for (size_t i = 0; i < found[m].fills.size(); ++i) {
        const MaskFill& fill = found[m].fills[i];
        const json& golden = expected["masks"][m][i];
        EXPECT_EQ(fill.id, golden["id"]);
        EXPECT_NEAR(fill.score, golden["score"].get<double>(), allowed(golden["score"]));
        EXPECT_EQ(fill.token, golden["token"]);
        EXPECT_EQ(fill.sequence, golden["sequence"]);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, FillMask,
                         ::testing::Combine(::testing::Values("cpu", "mlx"), ::testing::ValuesIn(kFolders)),
                         test::name_of);

// One call with all texts, whose masks are computed in batches, gives what each text gives alone.
TEST(FillMasks, OfManyTextsStayWithTheirTexts) {
  const Encoder encoder = load(tiny("bert_mlm"));
  std::vector<std::string> texts;
  for (int i = 0; i < 40; ++i)
    for (const json& c : read_json(tiny("bert_mlm") / "fill_mask.json")) texts.push_back(c["text"]);
  const auto all = encoder.fill_mask(texts);
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto alone = encoder.fill_mask(std::vector{texts[i]})[0];
    ASSERT_EQ(all[i].size(), alone.size()) << texts[i];
    for (size_t m = 0; m < alone.size(); ++m) {
      EXPECT_EQ(all[i][m].position, alone[m].position);
      for (size_t k = 0; k < alone[m].fills.size(); ++k) {
        EXPECT_EQ(all[i][m].fills[k].id, alone[m].fills[k].id);
        EXPECT_EQ(all[i][m].fills[k].score, alone[m].fills[k].score);
      }
    }
  }
}

// A request of many texts is cut into parts for threads. Some of them have no chosen token, one has several.
TEST(FillMasks, PartsWithoutChosenTokensLeaveTheOthersInPlace) {
  for (const char* engine : {"cpu", "mlx"}) {
    std::string why_not;
    auto made = test::make_engine(engine, why_not, {.threads = 2});
    if (!made) continue;
    test::Running model(tiny("bert_mlm"), std::move(made));
    const test::Golden golden(tiny("bert_mlm"));
    const Batch texts = golden.batch("texts.");
    RunRequest all{.wanted = {Output::chosen_logits}};
    for (int copy = 0; copy < 30; ++copy)
      for (int64_t b = 0; b < texts.texts(); ++b)
        all.batch.append(std::span(texts.ids).subspan(static_cast<size_t>(texts.offsets[b]),
                                                      static_cast<size_t>(texts.length(b))));
    EXPECT_EQ(model.run(all)[Output::chosen_logits].values.size(), 0u);
    const auto last = static_cast<int32_t>(all.batch.tokens() - 1);
    all.batch.chosen = {last - 3, last};
    const Matrix found = model.run(all)[Output::chosen_logits];
    ASSERT_EQ(found.rows, 2);
    RunRequest alone{.wanted = {Output::chosen_logits}};
    const int64_t final_text = texts.texts() - 1;
    const int32_t length = texts.length(final_text);
    alone.batch.append(std::span(texts.ids).last(static_cast<size_t>(length)));
    alone.batch.chosen = {length - 4, length - 1};
    const Matrix by_itself = model.run(alone)[Output::chosen_logits];
    if (engine == std::string_view("cpu")) {
      EXPECT_EQ(found.values, by_itself.values);
    }
    EXPECT_LE(test::difference(engine, found, by_itself).relative, test::kParityTolerance) << engine;
    // The twin: tokens beside those.
    alone.batch.chosen = {length - 5, length - 2};
    const Matrix others = model.run(alone)[Output::chosen_logits];
    EXPECT_GT(test::difference(engine, found, others).relative, 100 * test::kParityTolerance) << engine;
  }
}

// The codes of the table of words are read as rows and as a matrix, by both engines alike.
TEST(FillMasks, AQuantizedTableIsTheOutputMatrix) {
  for (const char* name : {"bert_mlm", "albert_mlm", "modernbert_mlm", "bert_mlm_untied", "roberta_mlm"}) {
    double lost_at_4 = 0;
    for (const int bits : {4, 8}) {
      SCOPED_TRACE(fmt::format("{}, {} bits", name, bits));
      const test::TemporaryFolder folder;
      test::Heard heard;
      const Conversion done = convert({.model = tiny(name),
                                       .output = folder / "q",
                                       .scheme = {Mode::affine, bits, 32, Dtype::f32},
                                       .warning = heard.warning()});
      std::erase_if(heard.sentences, [](const std::string& s) { return s.find("group size") != s.npos; });
      EXPECT_THAT(heard.sentences, IsEmpty());
      int heads = 0;
      for (const PlannedTensor& t : done.plan.tensors)
        if (t.name.ends_with("dense.weight") && t.name.find("layer") == t.name.npos)
          heads += t.scheme.mode == Mode::affine;
      EXPECT_GE(heads, 1);
      dequantize_model({.model = folder / "q", .output = folder / "plain"});
      const test::Golden golden(tiny(name));
      const RunRequest request{.batch = golden.batch(""), .wanted = {Output::chosen_logits}};
      test::Running plain(folder / "plain", make_cpu_engine({.activations = Activations::float32}));
      const Matrix expected = plain.run(request)[Output::chosen_logits];
      for (const char* engine : {"cpu", "mlx"}) {
        std::string why_not;
        auto made = test::make_engine(engine, why_not, {.activations = Activations::float32});
        if (!made) continue;
        test::Running quantized(folder / "q", std::move(made));
        // The same numbers; a product may add them up in another order, and decode them with one rounding more.
        const test::Difference d =
            test::difference(engine, quantized.run(request)[Output::chosen_logits], expected);
        EXPECT_LE(d.relative, test::kParityTolerance) << d.what << ": " << d.place;
      }
      // A step of 4 bits is 17 times one of 8 bits; a quarter of that is asked for, because errors of large steps saturate.
      const test::Difference lost = test::difference("original", expected, golden.matrix("chosen_logits"));
      EXPECT_GT(lost.relative, 10 * test::kParityTolerance) << "the conversion did something";
      if (bits == 4) lost_at_4 = lost.relative;
      if (bits == 8) {
        EXPECT_LE(lost.relative, lost_at_4 / 4);
      }
    }
  }
}

TEST(FillMasks, SayWhichTextHasNoMask) {
  const Encoder encoder = load(tiny("bert_mlm"));
  const auto fill = [&](std::vector<std::string> texts, FillMaskOptions options = {}) {
    return error_text([&] { encoder.fill_mask(texts, options); }, ErrorCode::format);
  };
  EXPECT_EQ(fill({"the [MASK] sat", "the cat sat"}),
            "text 2: found no [MASK]; write [MASK] in the place of a word");
  EXPECT_EQ(fill({""}, {.first_text = 7}), "text 8: found no [MASK]; write [MASK] in the place of a word");
  std::string cut = "the [MASK] sat";
  for (int i = 0; i < 60; ++i) cut += " on the cat";
  EXPECT_EQ(encoder.fill_mask(std::vector{cut})[0].size(), 1u);
  EXPECT_EQ(fill({cut + " [MASK]"}),
            "text 1: truncated to 40 tokens, which leaves 1 of 2 [MASK]; shorten the text, or cut it around "
            "[MASK]");
  EXPECT_THAT(error_text([&] { encoder.fill_mask(std::vector<std::string>{"[MASK]"}, {.top_k = 0}); },
                         ErrorCode::usage),
              HasSubstr("top_k"));
}

TEST(FillMasks, NeedTheHeadAndTheToken) {
  const std::vector<std::string> texts{"the [MASK] sat"};
  EXPECT_THAT(error_text([&] { load(tiny("bert")).fill_mask(texts); }, ErrorCode::unsupported),
              HasSubstr("no head of a masked language model"));
  EXPECT_EQ(load(tiny("bert")).info().mask_token, "");
  EXPECT_EQ(load(tiny("bert_mlm")).info().mask_token, "[MASK]");
  EXPECT_EQ(load(tiny("roberta_mlm")).info().mask_token, "<mask>");
  const test::TemporaryFolder folder;
  const auto without = changed_copy(tiny("modernbert_mlm"), folder / "m", [](RawTensors&) {});
  for (const char* file : {"tokenizer_config.json", "special_tokens_map.json"}) {
    json settings = read_json(without / file);
    settings.erase("mask_token");
    test::write_file(without / file, settings.dump());
  }
  EXPECT_THAT(error_text([&] { load(without).fill_mask(texts); }, ErrorCode::unsupported),
              HasSubstr("the tokenizer has no mask token"));
}

TEST(FillMasks, TargetsThatAreNoTokensAreSaid) {
  const Encoder encoder = load(tiny("bert_mlm"));
  const std::vector<std::string> texts{"the [MASK] sat"};
  CallReport report;
  const auto found = encoder.fill_mask(texts, {.targets = {"river", "harbourside", " "}, .report = &report});
  EXPECT_EQ(found[0][0].fills.size(), 2u);
  EXPECT_THAT(
      report.warnings,
      ElementsAre(
          "target \"harbourside\": is no token of the vocabulary; its first token \"harbour\" is taken",
          "target \" \": has no token, and is left out"));
  EXPECT_THAT(
      error_text([&] { encoder.fill_mask(texts, {.targets = {" "}, .report = &report}); }, ErrorCode::usage),
      HasSubstr("targets"));
  EXPECT_EQ(encoder.fill_mask(texts, {.top_k = 100000})[0][0].fills.size(),
            static_cast<size_t>(encoder.info().vocab_size));
}

// The head is there where its tensors are: "architectures" may name a bare encoder or another head.
TEST(MaskedHead, IsFoundByItsTensors) {
  const test::TemporaryFolder folder;
  const auto copy = changed_copy(tiny("bert_mlm"), folder / "named", [](RawTensors&) {});
  test::change_config(copy, [](json& c) { c["architectures"] = {"BertModel"}; });
  EXPECT_TRUE(load_model(copy, {}).model.has(Output::chosen_logits));
  EXPECT_TRUE(load_model(tiny("bert_old_names"), {}).model.has(Output::chosen_logits));
  EXPECT_FALSE(load_model(tiny("bert_prefix"), {}).model.has(Output::chosen_logits));

  test::Heard heard;
  const auto part = changed_copy(tiny("bert_mlm"), folder / "part",
                                 [](RawTensors& t) { t.erase("cls.predictions.transform.LayerNorm.bias"); });
  EXPECT_FALSE(load_model(part, heard.warning()).model.has(Output::chosen_logits));
  EXPECT_THAT(heard.sentences,
              Contains(HasSubstr("has cls.predictions.transform.dense.weight, but not "
                                 "cls.predictions.transform.LayerNorm.bias: the masked language "
                                 "model's head is not computed")));
}

// The output's bias has a second name, and the matrix a copy that is not read.
TEST(MaskedHead, ReadsWhatIsTiedOnce) {
  const test::TemporaryFolder folder;
  const auto renamed = changed_copy(tiny("bert_mlm"), folder / "renamed", [](RawTensors& t) {
    auto bias = t.extract("cls.predictions.bias");
    bias.key() = "cls.predictions.decoder.bias";
    t.insert(std::move(bias));
    RawTensors::mapped_type copy = t.at("bert.embeddings.word_embeddings.weight");
    std::vector<float> other = test::floats(copy);
    for (float& v : other) v += 1;
    t["cls.predictions.decoder.weight"] = test::float_tensor(copy.shape, other);
  });
  const std::vector<std::string> texts{"the [MASK] sat"};
  test::Heard heard;
  load_model(renamed, heard.warning());
  EXPECT_THAT(heard.sentences, Contains(HasSubstr("cls.predictions.decoder.weight differs from "
                                                  "bert.embeddings.word_embeddings.weight")));
  const auto expected = load(tiny("bert_mlm")).fill_mask(texts), found = load(renamed).fill_mask(texts);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(found[0][0].fills[i].score, expected[0][0].fills[i].score);
  // Untied, that matrix counts.
  test::change_config(renamed, [](json& c) { c["tie_word_embeddings"] = false; });
  EXPECT_NE(load(renamed).fill_mask(texts)[0][0].fills[0].score, expected[0][0].fills[0].score);
}

// Versions and families of transformers differ in which of the two they take.
TEST(MaskedHead, TwoBiasesThatDifferAreAnError) {
  const test::TemporaryFolder folder;
  for (const auto& [model, name] : {std::pair("bert_mlm", "cls.predictions."),
                                    {"roberta_mlm", "lm_head."},
                                    {"albert_mlm", "predictions."}})
    for (const float more : {0.0f, 1.0f}) {
      const auto copy =
          changed_copy(tiny(model), folder / fmt::format("{}{}", model, more), [&](RawTensors& t) {
            const RawTensors::mapped_type bias = t.at(std::string(name) + "bias");
            std::vector<float> other = test::floats(bias);
            for (float& v : other) v += more;
            t[std::string(name) + "decoder.bias"] = test::float_tensor(bias.shape, other);
          });
      if (more == 0)
        EXPECT_NO_THROW(load_model(copy, {})) << model;
      else
        EXPECT_THAT(error_text([&] { load_model(copy, {}); }, ErrorCode::format),
                    HasSubstr("both are one parameter; remove the one that is not meant"));
    }
}

// transformers has another head then.
TEST(MaskedHead, OfADebertaThatIsNotLegacyIsNotComputed) {
  const test::TemporaryFolder folder;
  const auto copy = changed_copy(tiny("deberta_mlm"), folder / "copy", [](RawTensors&) {});
  EXPECT_TRUE(load_model(copy, {}).model.has(Output::chosen_logits));
  test::change_config(copy, [](json& c) { c["legacy"] = false; });
  test::Heard heard;
  EXPECT_FALSE(load_model(copy, heard.warning()).model.has(Output::chosen_logits));
  EXPECT_THAT(heard.sentences, Contains(HasSubstr("cls.predictions")));
}

// As nomic-ai publishes it: a head without biases, but for its norm's.
TEST(MaskedHead, OfAPublishedNomicBertHasNoBiases) {
  const test::TemporaryFolder folder;
  const auto with = [&](const char* name, const std::function<void(RawTensors&)>& change) {
    return changed_copy(tiny("nomic_bert_mlm"), folder / name, change);
  };
  constexpr const char* kBiases[] = {"cls.predictions.transform.dense.bias", "cls.predictions.bias"};
  const auto zeros = with("zeros", [&](RawTensors& t) {
    for (const char* name : kBiases)
      t[name] = test::float_tensor(t.at(name).shape, std::vector<float>(test::floats(t.at(name)).size()));
    t.erase("cls.predictions.decoder.bias");
  });
  const auto bare = with("bare", [&](RawTensors& t) {
    for (const char* name : kBiases) t.erase(name);
    t.erase("cls.predictions.decoder.bias");
  });
  test::change_config(bare, [](json& c) { c["mlp_fc1_bias"] = false; });
  const std::vector<std::string> text{"the [MASK] sat"};
  EXPECT_EQ(load(bare).fill_mask(text)[0][0].fills[0].score,
            load(zeros).fill_mask(text)[0][0].fills[0].score);
  EXPECT_NE(load(bare).fill_mask(text)[0][0].fills[0].score,
            load(tiny("nomic_bert_mlm")).fill_mask(text)[0][0].fills[0].score);
}

// Its matrix is the table of words only where config.json says so. Without tensors of its own, the class tells of the head.
TEST(MaskedHead, OfAEuroBertIsTiedWhereConfigSaysSo) {
  const test::TemporaryFolder folder;
  const auto tied = changed_copy(tiny("eurobert_mlm"), folder / "tied", [](RawTensors& t) {
    t.erase("lm_head.weight");
    t.erase("lm_head.bias");
    std::erase_if(t, [](const auto& tensor) { return tensor.first.ends_with("_proj.bias"); });
  });
  test::change_config(tied, [](json& c) {
    c["tie_word_embeddings"] = true;
    c["mlp_bias"] = false;
  });
  EXPECT_TRUE(load_model(tied, {}).model.has(Output::chosen_logits));
  test::change_config(tied, [](json& c) { c["architectures"] = {"EuroBertModel"}; });
  EXPECT_FALSE(load_model(tied, {}).model.has(Output::chosen_logits));
}

TEST(MaskedHead, DoesNotChangeVectors) {
  const test::TemporaryFolder folder;
  const auto bare = changed_copy(tiny("bert_mlm"), folder / "bare", [](RawTensors& t) {
    std::erase_if(t, [](const auto& tensor) { return tensor.first.starts_with("cls."); });
  });
  EXPECT_EQ(load(bare).embed({"the cat sat"}).values, load(tiny("bert_mlm")).embed({"the cat sat"}).values);
}

}  // namespace
}  // namespace mlxe::fill_mask_test
