#include "format/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "test_files.h"

namespace mlxe::config_test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Config config(std::string_view text) {
  return Config::parse(text, "config.json");
}

template <class Action>
std::string error_of(Action action, ErrorCode code = ErrorCode::format) {
  return test::error_text(action, code);
}

TEST(Config, ReadsTypedValues) {
  const Config c = config(
      R"({"flag": true, "n": 12, "x": 1e-12, "whole": 3, "s": "gelu", "list": ["a", "b"], "no": null})");
  EXPECT_TRUE(c.get<bool>("flag"));
  EXPECT_EQ(c.get<int>("n"), 12);
  EXPECT_EQ(c.positive("n"), 12);
  EXPECT_EQ(c.get<double>("x"), 1e-12);
  EXPECT_EQ(c.non_negative_number("whole"), 3.0);
  EXPECT_EQ(c.get<std::string>("s"), "gelu");
  EXPECT_THAT(c.get<std::vector<std::string>>("list"), ElementsAre("a", "b"));
  EXPECT_FALSE(c.has("no"));
  EXPECT_EQ(c.get_or<int>("no", 5), 5);
  EXPECT_EQ(c.get_or<std::string>("absent", "x"), "x");
  EXPECT_EQ(c.positive_or("absent", 7), 7);
}

TEST(Config, AWrongTypeNamesKeyValueAndExpectation) {
  const Config c = config(R"({"hidden_size": "abc", "f": 1.5, "t": true, "o": {}, "list": ["a", 1]})");
  EXPECT_EQ(error_of([&] { c.positive("hidden_size"); }),
            "config.json: \"hidden_size\" is \"abc\", expected a positive integer");
  EXPECT_THAT(error_of([&] { c.get<int>("f"); }), HasSubstr("\"f\" is 1.5, expected a whole number"));
  EXPECT_THAT(error_of([&] { c.positive("t"); }), HasSubstr("\"t\" is true"));
  EXPECT_THAT(error_of([&] { c.get<double>("t"); }), HasSubstr("expected a number"));
  EXPECT_THAT(error_of([&] { c.get<std::string>("o"); }), HasSubstr("\"o\" is {}, expected a string"));
  EXPECT_THAT(error_of([&] { c.get<bool>("f"); }), HasSubstr("expected true or false"));
  EXPECT_THAT(error_of([&] { c.get<std::vector<std::string>>("list"); }),
              HasSubstr("expected a list of strings"));
  EXPECT_THAT(error_of([&] { c.positive("gone"); }), HasSubstr("\"gone\" is missing"));
}

TEST(Config, NumbersAreGuarded) {
  const Config c = config(
      R"({"zero": 0, "minus": -3, "huge": 16777217, "max": 18446744073709551615, "big": 4294967296, "eps": 0.0, "most": 16777216})");
  EXPECT_THAT(error_of([&] { c.positive("zero"); }), HasSubstr("is 0, expected a positive integer"));
  EXPECT_THAT(error_of([&] { c.positive("minus"); }), HasSubstr("is -3"));
  EXPECT_THAT(error_of([&] { c.positive("huge"); }), HasSubstr("up to 16777216"));
  EXPECT_THAT(error_of([&] { c.positive("max"); }), HasSubstr("18446744073709551615"));
  EXPECT_THAT(error_of([&] { c.get<int64_t>("max"); }), HasSubstr("whole number"));
  EXPECT_THAT(error_of([&] { c.get<int>("big"); }), HasSubstr("below 2^31"));
  EXPECT_EQ(c.non_negative_number("eps"), 0.0);
  EXPECT_THAT(error_of([&] { c.non_negative_number("minus"); }),
              HasSubstr("is -3.0, expected a number from 0 on"));
  EXPECT_EQ(c.positive("most"), kMaxConfigSize);
}

TEST(Config, MustBeAnObject) {
  EXPECT_THAT(error_of([] { config("[1]"); }), HasSubstr("config.json: found [1], expected an object"));
}

TEST(Config, LabelsComeInOrderOfTheirNumber) {
  EXPECT_THAT(
      config(
          R"({"id2label": {"10": "k", "0": "a", "1": "b", "2": "c", "3": "d", "4": "e", "5": "f", "6": "g", "7": "h", "8": "i", "9": "j"}})")
          .labels(),
      ElementsAre("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"));
  EXPECT_THAT(config("{}").labels(), ElementsAre("LABEL_0", "LABEL_1"));
  EXPECT_THAT(config(R"({"num_labels": 1})").labels(), ElementsAre("LABEL_0"));
  EXPECT_THAT(error_of([] { config(R"({"id2label": {"zero": "a"}})").labels(); }),
              HasSubstr("the numbers of the classes as keys"));
  EXPECT_THAT(error_of([] { config(R"({"id2label": []})").labels(); }), HasSubstr("id2label"));
  EXPECT_THAT(error_of([] { config(R"({"num_labels": 9999999})").labels(); }), HasSubstr("at most"));
}

TEST(Config, LabelsThatTransformersLoadsAreReadAndSaid) {
  struct Case {
    const char* json;
    std::vector<std::string> labels;
    const char* said;
  };
  for (const Case& c :
       {Case{R"({"id2label": {"0": 7, "1": "b"}})", {"7", "b"}, "names class 0 7, which is no string"},
        Case{R"({"id2label": {"0": null, "1": "b"}})", {"LABEL_0", "b"}, "no name for class 0"},
        Case{R"({"id2label": {"0": "a", "2": "c"}})", {"a", "LABEL_1"}, "no name for class 1"},
        Case{R"({"id2label": {"0": "a"}, "num_labels": 2})", {"a"}, "\"num_labels\" is 2"},
        Case{R"({"id2label": {"0": "a"}, "num_labels": "1"})", {"a"}, "\"num_labels\" is \"1\""}}) {
    test::Heard heard;
    EXPECT_EQ(config(c.json).labels(heard.warning()), c.labels) << c.json;
    EXPECT_THAT(heard.sentences, ElementsAre(HasSubstr(c.said))) << c.json;
  }
  test::Heard heard;
  EXPECT_THAT(config(R"({"id2label": null, "num_labels": null})").labels(heard.warning()),
              ElementsAre("LABEL_0", "LABEL_1"));
  EXPECT_THAT(heard.sentences, IsEmpty());
}

TEST(Config, KeysOfOlderVersionsAndOfCrossEncodersAreKnown) {
  const Config c =
      config(R"({"_num_labels": 3, "eos_token_ids": 0, "sbert_ce_default_activation_function": "a.B",
                              "sentence_transformers": {"activation_fn": "a.B", "version": "4.1.0"}})");
  EXPECT_THAT(c.unknown_keys(), IsEmpty());
  EXPECT_THAT(c.unused_keys(), ::testing::SizeIs(4)) << "a module's file has no harmless keys but its own";
}

TEST(Config, UnknownKeysAreToldHarmlessOnesAreNot) {
  const Config c =
      config(R"({"hidden_size": 8, "classifier_dropout": null, "transformers_version": "4.57", "zeta": 1,
                              "alibi_slope": 2, "special": 3})");
  EXPECT_THAT(c.unknown_keys(), ElementsAre("alibi_slope", "hidden_size", "special", "zeta"));
  c.positive("hidden_size");
  c.harmless({"special"});
  test::Heard heard;
  c.warn_unknown(heard.warning());
  EXPECT_THAT(heard.sentences,
              ElementsAre("config.json: the key \"alibi_slope\" is not known and was ignored",
                          "config.json: the key \"zeta\" is not known and was ignored"));
}

TEST(Config, TheAccountHasEachKeyInOneList) {
  const Config c = config(
      R"({"a": 1, "declared": 2, "read_later": 3, "read_before": 4, "torch_dtype": "float32", "zeta": 5, "is_decoder": false})");
  c.get<int>("a");
  c.get<int>("read_before");
  c.harmless({"declared", "read_later", "read_before", "absent"});
  c.get<int>("read_later");
  c.reject_unsupported();
  const Config::KeyAccount keys = c.account();
  EXPECT_THAT(keys.used, ElementsAre("a", "is_decoder", "read_before", "read_later"));
  EXPECT_THAT(keys.harmless, ElementsAre("declared", "torch_dtype"));
  EXPECT_THAT(keys.ignored, ElementsAre("zeta"));
}

TEST(Config, AskingWhetherAKeyExistsIsNotUsingIt) {
  const Config c = config(R"({"zeta": 1})");
  EXPECT_TRUE(c.has("zeta"));
  EXPECT_THAT(c.unknown_keys(), ElementsAre("zeta"));
  EXPECT_EQ(c.get_or<int>("zeta", 0), 1);
  EXPECT_THAT(c.unknown_keys(), IsEmpty());
}

TEST(Config, CopiesShareTheAccount) {
  const Config c = config(R"({"zeta": 1})");
  const Config copy = c;
  copy.get<int>("zeta");
  EXPECT_THAT(c.unknown_keys(), IsEmpty());
}

TEST(Config, ValuesItCannotHonourAreErrorsAllAtOnce) {
  const Config good =
      config(R"({"is_decoder": false, "pruned_heads": {}, "position_embedding_type": "absolute",
                                 "cross_attention_hidden_size": null, "prefix": null})");
  EXPECT_NO_THROW(good.reject_unsupported());
  EXPECT_THAT(good.unknown_keys(), IsEmpty());
  const Config bad = config(
      R"({"is_decoder": true, "pruned_heads": {"1": [0]}, "position_embedding_type": "relative_key"})");
  EXPECT_THAT(error_of([&] { bad.reject_unsupported(); }, ErrorCode::unsupported),
              AllOf(HasSubstr("\"is_decoder\" is true"), HasSubstr("\"pruned_heads\" is {\"1\":[0]}"),
                    HasSubstr("\"position_embedding_type\" is \"relative_key\"")));
}

TEST(Config, AnArchitectureMayIgnoreAKey) {
  const Config c = config(R"({"is_encoder_decoder": true, "is_decoder": true})");
  constexpr std::string_view kIgnored[] = {"is_encoder_decoder"};
  EXPECT_THAT(error_of([&] { c.reject_unsupported(kIgnored); }, ErrorCode::unsupported),
              AllOf(HasSubstr("is_decoder"), Not(HasSubstr("is_encoder_decoder"))));
}

// Tests every row of the table.
TEST(Config, EveryRejectedKeyIsRejected) {
  ASSERT_EQ(rejected_keys().size(), 8u);
  for (const RejectedKey& row : rejected_keys()) {
    EXPECT_FALSE(is_harmless_key(row.key)) << row.key;
    nlohmann::json object;
    object[row.key] = nlohmann::json::parse(row.honoured);
    EXPECT_NO_THROW(Config(object, "c").reject_unsupported()) << row.key;
    object[row.key] = "something else";
    EXPECT_THAT(error_of([&] { Config(object, "c").reject_unsupported(); }, ErrorCode::unsupported),
                HasSubstr(row.key));
  }
}

TEST(Config, RejectUnlessTakesSeveralHonouredValues) {
  const Config c = config(R"({"mode": "b"})");
  EXPECT_NO_THROW(c.reject_unless("mode", {"a", "b"}, "why"));
  EXPECT_NO_THROW(c.reject_unless("absent", {"a"}, "why"));
  EXPECT_EQ(error_of([&] { c.reject_unless("mode", {"a"}, "only a works"); }, ErrorCode::unsupported),
            "config.json: \"mode\" is \"b\"; only a works");
}

TEST(Config, NestedObjectsKeepTheirOwnAccount) {
  const Config c = config(R"({"text": {"a": 1, "b": 2}})");
  const Config text = c.object("text");
  text.get<int>("a");
  EXPECT_THAT(text.unknown_keys(), ElementsAre("b"));
  EXPECT_THAT(c.unknown_keys(), IsEmpty());
  EXPECT_THAT(error_of([&] { text.get<bool>("b"); }), HasSubstr("config.json: \"text\": \"b\" is 2"));
}

TEST(Config, TheWholePretrainedConfigIsKnown) {
  // Every key that transformers 4.57 writes for BERT, DistilBERT and (XLM-)RoBERTa and the architectures do
  // not read.
  const Config c =
      config(R"({"return_dict": true, "output_hidden_states": false, "torchscript": false, "dtype": "float32",
    "pruned_heads": {}, "tie_word_embeddings": true, "chunk_size_feed_forward": 0, "is_encoder_decoder": false,
    "is_decoder": false, "cross_attention_hidden_size": null, "add_cross_attention": false, "tie_encoder_decoder": false,
    "architectures": ["BertModel"], "finetuning_task": null, "id2label": {"0": "a"}, "label2id": {"a": 0},
    "task_specific_params": null, "problem_type": null, "tokenizer_class": null, "prefix": null, "bos_token_id": null,
    "pad_token_id": 0, "eos_token_id": null, "sep_token_id": null, "decoder_start_token_id": null, "max_length": 20,
    "min_length": 0, "do_sample": false, "early_stopping": false, "num_beams": 1, "temperature": 1.0, "top_k": 50,
    "top_p": 1.0, "typical_p": 1.0, "repetition_penalty": 1.0, "length_penalty": 1.0, "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0, "bad_words_ids": null, "num_return_sequences": 1, "output_scores": false,
    "return_dict_in_generate": false, "forced_bos_token_id": null, "forced_eos_token_id": null,
    "remove_invalid_values": false, "exponential_decay_length_penalty": null, "suppress_tokens": null,
    "begin_suppress_tokens": null, "num_beam_groups": 1, "diversity_penalty": 0.0, "_name_or_path": "",
    "transformers_version": "4.57.6", "model_type": "bert", "tf_legacy_loss": false, "use_bfloat16": false,
    "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "initializer_range": 0.02, "use_cache": true,
    "classifier_dropout": null, "position_embedding_type": "absolute", "output_attentions": false,
    "dropout": 0.1, "attention_dropout": 0.1, "qa_dropout": 0.1, "seq_classif_dropout": 0.2})");
  c.reject_unsupported();
  EXPECT_THAT(c.unknown_keys(), IsEmpty());
}

TEST(Config, CanBeReadFromSeveralThreads) {
  const Config c = config(R"({"a": 1, "b": 2, "c": 3})");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) c.get<int>(i % 2 ? "a" : "b");
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(c.unknown_keys(), ElementsAre("c"));
}

}  // namespace
}  // namespace mlxe::config_test
