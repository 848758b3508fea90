// Answers as transformers' question-answering pipeline finds them, and choices as its models rate them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "golden.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/encoder.h"
#include "model_folders.h"
#include "tokenizer/tokenizer.h"

namespace mlxe::question_answering_test {
namespace {

using nlohmann::json;
using test::changed_copy;
using test::error_text;
using test::RawTensors;
using test::tiny;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Encoder load(const std::filesystem::path& folder, EngineKind engine = EngineKind::cpu) {
  return Encoder::load(folder, {.engine = engine, .activations = Activations::float32});
}

AnswerOptions options_of(const json& o) {
  AnswerOptions options;
  options.top_k = o.value("top_k", int64_t{1});
  options.max_answer_len = o.value("max_answer_len", int64_t{15});
  if (o.contains("max_seq_len")) options.max_seq_len = o["max_seq_len"].get<int64_t>();
  if (o.contains("doc_stride")) options.doc_stride = o["doc_stride"].get<int64_t>();
  options.handle_impossible_answer = o.value("handle_impossible_answer", false);
  options.align_to_words = o.value("align_to_words", true);
  return options;
}

json cases_of(const std::filesystem::path& folder) {
  return read_json(folder / "answers.json");
}

Question question_of(const json& c) {
  return {c["question"], c["context"]};
}

// A logit may be off by the tolerance times the largest logit. A score is a product of two softmaxes of logits below
// 20, so that it is off by exp(4 * 20 * tolerance) - 1 of itself at most, as is a sum of scores; the golden has scores
// rounded to 9 places.
double allowed(double score) {
  return score * std::expm1(80 * test::kParityTolerance) + 1e-9;
}

// The number of cases in which a folder's model does not answer as `golden`.
int unlike(const Encoder& encoder, const json& golden, bool says) {
  int count = 0;
  for (const json& c : golden) {
    const auto found = encoder.answer(std::vector{question_of(c)}, options_of(c["options"]))[0];
    bool same = found.size() == c["answers"].size();
    for (size_t i = 0; same && i < found.size(); ++i) {
      const json& expected = c["answers"][i];
      same = found[i].text == expected["text"] && found[i].begin == expected["begin"] &&
             found[i].end == expected["end"] &&
             std::abs(found[i].score - expected["score"].get<double>()) <= allowed(expected["score"]);
      if (!same && says)
        ADD_FAILURE() << c.dump() << "\nanswer " << i << " is \"" << found[i].text << "\" " << found[i].begin
                      << " to " << found[i].end << ", score " << found[i].score;
    }
    count += !same;
  }
  return count;
}

constexpr const char* kAnswerers[] = {"bert_qa", "roberta_qa", "albert_qa", "modernbert_qa"};

class QuestionAnswering : public ::testing::TestWithParam<test::EngineAndFolder> {};

TEST_P(QuestionAnswering, EqualsThePipeline) {
  const auto [engine, name] = GetParam();
  std::string why_not;
  if (!test::make_engine(engine, why_not)) GTEST_SKIP() << why_not;
  const test::Golden golden(tiny(name));
  for (const char* group : {"", "texts.", "pairs."})
    for (const float v : golden.matrix(group + std::string("span_logits")).values) EXPECT_LT(std::abs(v), 20);
  EXPECT_EQ(unlike(load(tiny(name), parse_engine(engine)), cases_of(tiny(name)), true), 0);
}

INSTANTIATE_TEST_SUITE_P(Models, QuestionAnswering,
                         ::testing::Combine(::testing::Values("cpu", "mlx"), ::testing::ValuesIn(kAnswerers)),
                         test::name_of);

// The twin: a matrix that is off by 1 %.
TEST(Answers, OfAnotherMatrixAreNoticed) {
  const test::TemporaryFolder folder;
  const auto copy = changed_copy(tiny("bert_qa"), folder / "m", [](RawTensors& t) {
    RawTensors::mapped_type& matrix = t.at("qa_outputs.weight");
    std::vector<float> values = test::floats(matrix);
    for (float& v : values) v *= 1.01f;
    matrix = test::float_tensor(matrix.shape, values);
  });
  const json golden = cases_of(tiny("bert_qa"));
  EXPECT_EQ(unlike(load(copy), golden, false), static_cast<int>(golden.size()));
}

// One call with all questions, whose windows run in batches, gives what each question gives alone.
TEST(Answers, ToManyQuestionsStayWithTheirQuestions) {
  const Encoder encoder = load(tiny("roberta_qa"));
  std::vector<Question> questions;
  for (int i = 0; i < 3; ++i)
    for (const json& c : cases_of(tiny("roberta_qa"))) questions.push_back(question_of(c));
  uint64_t last = 0;
  const AnswerOptions options{.top_k = 3,
                              .handle_impossible_answer = true,
                              .progress = [&](std::string_view, uint64_t done, uint64_t) { last = done; }};
  const auto all = encoder.answer(questions, options);
  EXPECT_EQ(last, questions.size());
  for (size_t i = 0; i < questions.size(); ++i) {
    const auto alone = encoder.answer(std::vector{questions[i]}, options)[0];
    ASSERT_EQ(all[i].size(), alone.size());
    for (size_t k = 0; k < alone.size(); ++k) {
      EXPECT_EQ(all[i][k].text, alone[k].text);
      EXPECT_EQ(all[i][k].score, alone[k].score);
      EXPECT_EQ(all[i][k].begin, alone[k].begin);
    }
  }
}

// Spans that no answer can be are left out, where the pipeline fills its list with them in no order.
TEST(Answers, AreFewerThanAskedForWhereTheContextHasNoMore) {
  const Encoder encoder = load(tiny("bert_qa"));
  const auto found = encoder.answer(std::vector<Question>{{"What?", "bread"}}, {.top_k = 9})[0];
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].text, "bread");
  EXPECT_GT(found[0].score, 0);
  EXPECT_THAT(encoder.answer(std::vector<Question>{{"What?", " "}})[0], IsEmpty());
  const auto none =
      encoder.answer(std::vector<Question>{{"What?", " "}}, {.handle_impossible_answer = true})[0];
  ASSERT_EQ(none.size(), 1u);
  EXPECT_EQ(none[0].text, "");
  EXPECT_EQ(none[0].end, 0);
  EXPECT_FLOAT_EQ(none[0].score, 1);  // the class token is all there is
}

TEST(Answers, NothingIsTruncatedOrSaid) {
  const Encoder encoder = load(tiny("bert_qa"));
  std::string context;
  for (int i = 0; i < 300; ++i) context += "the river was late, ";
  context += "and bread";
  CallReport report;
  const auto found =
      encoder.answer(std::vector<Question>{{"What?", context}}, {.top_k = 2000, .report = &report})[0];
  EXPECT_THAT(report.truncated, IsEmpty());
  EXPECT_THAT(report.warnings, IsEmpty());
  EXPECT_TRUE(std::ranges::any_of(found, [](const Answer& a) { return a.text == "bread"; }));
}

TEST(Answers, OptionsOutOfRangeAreErrors) {
  const Encoder encoder = load(tiny("bert_qa"));
  const auto error = [&](const Question& q, const AnswerOptions& o, ErrorCode code) {
    return error_text([&] { encoder.answer(std::vector{Question{"What?", "bread"}, q}, o); }, code);
  };
  const Question fine{"What?", "bread"};
  EXPECT_THAT(error(fine, {.top_k = 0}, ErrorCode::usage), HasSubstr("top_k: found 0, expected at least 1"));
  EXPECT_THAT(error(fine, {.max_answer_len = 0}, ErrorCode::usage), HasSubstr("max_answer_len: found 0"));
  EXPECT_THAT(error(fine, {.max_seq_len = 0}, ErrorCode::usage), HasSubstr("max_seq_len: found 0"));
  EXPECT_THAT(error(fine, {.max_seq_len = 41}, ErrorCode::usage),
              HasSubstr("max_seq_len: found 41, expected at most 40, the model's tokens"));
  EXPECT_THAT(error(fine, {.max_seq_len = 20, .doc_stride = 21}, ErrorCode::usage),
              HasSubstr("doc_stride: found 21, expected 0 to 20"));
  EXPECT_THAT(error({"", "bread"}, {}, ErrorCode::format), HasSubstr("text 2: the question is empty"));
  EXPECT_THAT(error({"What?", ""}, {.first_text = 7}, ErrorCode::format),
              HasSubstr("text 9: the context is empty"));
  std::string text;
  for (int i = 0; i < 30; ++i) text += "river ";
  EXPECT_THAT(error({text, text}, {}, ErrorCode::usage),
              HasSubstr("text 2: the text that is kept whole has 30 tokens, which leaves 7 of 40 for a part "
                        "of the other one, expected more than the stride of 20"));
  EXPECT_THAT(error({text + text, "bread"}, {}, ErrorCode::usage), HasSubstr("which leaves 0 of 40"));
  EXPECT_EQ(encoder.answer(std::vector<Question>{{text, text}}, {.doc_stride = 6})[0].size(), 1u);
  EXPECT_THAT(error_text([&] { load(tiny("bert")).answer(std::vector{fine}); }, ErrorCode::unsupported),
              HasSubstr("no question answering head"));
  EXPECT_TRUE(encoder.info().answers);
  EXPECT_FALSE(encoder.info().chooses);
}

TEST(Answers, ThatThePipelineWouldReadInAnotherOrderAreSaid) {
  const test::TemporaryFolder folder;
  const auto copy = changed_copy(tiny("bert_qa"), folder / "m", [](RawTensors&) {});
  json settings = read_json(copy / "tokenizer_config.json");
  settings["padding_side"] = "left";
  test::write_file(copy / "tokenizer_config.json", settings.dump());
  CallReport report;
  load(copy).answer(std::vector<Question>{{"What?", "bread"}}, {.report = &report});
  EXPECT_THAT(report.warnings, ElementsAre(HasSubstr("\"padding_side\" is \"left\"")));
}

// Windows hold every token of the cut text, with as many in two windows as the stride, from either end.
TEST(Windows, HoldAllTokens) {
  const test::TemporaryFolder folder;
  for (const char* side : {"right", "left"}) {
    const auto copy = changed_copy(tiny("roberta_qa"), folder / side, [](RawTensors&) {});
    json settings = read_json(copy / "tokenizer_config.json");
    settings["truncation_side"] = side;
    test::write_file(copy / "tokenizer_config.json", settings.dump());
    const Tokenizer tokenizer = Tokenizer::load(copy, {});
    std::string context;
    for (int i = 0; i < 40; ++i) context += "the naïve ferry 渡 " + std::to_string(i * 7919) + " ";
    const Encoding whole = tokenizer.encode("What?", context, {});
    const auto begin = static_cast<size_t>(std::ranges::find(whole.sequence, 1) - whole.sequence.begin());
    const auto past = begin + static_cast<size_t>(std::ranges::count(whole.sequence, 1));
    for (const int64_t stride : {0, 3, 11}) {
      const auto windows = tokenizer.encode_windows(
          "What?", context, {.max_length = 40, .truncation = Truncation::only_second, .stride = stride});
      ASSERT_GT(windows.size(), 3u);
      const bool from_end = side == std::string_view("left");
      size_t at = from_end ? past : begin;
      for (size_t w = 0; w < windows.size(); ++w) {
        const Encoding& e = windows[w];
        EXPECT_LE(e.ids.size(), 40u);
        EXPECT_EQ(e.dropped_tokens, 0);
        const auto first = static_cast<size_t>(std::ranges::find(e.sequence, 1) - e.sequence.begin());
        const auto count = static_cast<size_t>(std::ranges::count(e.sequence, 1));
        EXPECT_EQ(first, begin);
        if (w + 1 < windows.size()) {
          EXPECT_EQ(e.ids.size(), 40u);
        }
        const size_t from = from_end ? at - count : at;
        for (size_t i = 0; i < count; ++i) {
          EXPECT_EQ(e.ids[first + i], whole.ids[from + i]);
          EXPECT_EQ(e.code_point_offsets[first + i], whole.code_point_offsets[from + i]);
          EXPECT_EQ(e.word_ids[first + i], whole.word_ids[from + i]);
        }
        const bool last = w + 1 == windows.size();
        const size_t shared = last ? 0 : static_cast<size_t>(stride);
        at = from_end ? from + shared : from + count - shared;
      }
      EXPECT_EQ(at, from_end ? begin : past) << side << " " << stride;
    }
    EXPECT_EQ(tokenizer
                  .encode_windows("What?", "bread",
                                  {.max_length = 40, .truncation = Truncation::only_second, .stride = 3})
                  .size(),
              1u);
  }
}

TEST(LowerCase, IsUnicodes) {
  EXPECT_EQ(lower_case("ÄÖ Ñ Привет ΟΔΟΣ İ 渡"), "äö ñ привет οδος i̇ 渡");
}

// ---- multiple choice

constexpr const char* kChoosers[] = {"bert_choice", "roberta_choice", "electra_choice"};

std::vector<ChoiceInput> prompts_of(const json& cases) {
  std::vector<ChoiceInput> prompts;
  for (const json& c : cases) prompts.push_back({c["prompt"], c["choices"].get<std::vector<std::string>>()});
  return prompts;
}

class MultipleChoice : public ::testing::TestWithParam<test::EngineAndFolder> {};

TEST_P(MultipleChoice, EqualsTransformers) {
  const auto [engine, name] = GetParam();
  std::string why_not;
  if (!test::make_engine(engine, why_not)) GTEST_SKIP() << why_not;
  const Encoder encoder = load(tiny(name), parse_engine(engine));
  const json cases = read_json(tiny(name) / "choices.json");
  CallReport report;
  const auto found = encoder.choose(prompts_of(cases), {.report = &report});
  ASSERT_EQ(found.size(), cases.size());
  // As kParityTolerance, relative to the largest logit; a softmax is off by at most twice that of itself.
  double largest = 0;
  for (const json& c : cases)
    for (const double logit : c["logits"]) largest = std::max(largest, std::abs(logit));
  const double off = test::kParityTolerance * largest + 1e-7;
  for (size_t i = 0; i < found.size(); ++i) {
    const auto scores = cases[i]["scores"].get<std::vector<double>>();
    ASSERT_EQ(found[i].scores.size(), scores.size());
    for (size_t k = 0; k < scores.size(); ++k) {
      EXPECT_NEAR(found[i].logits[k], cases[i]["logits"][k].get<double>(), off);
      EXPECT_NEAR(found[i].scores[k], scores[k], std::expm1(2 * off) * scores[k] + 1e-9);
    }
    EXPECT_EQ(found[i].best, std::ranges::max_element(scores) - scores.begin());
  }
  // One entry a prompt, in order; the last prompt is too long for each of its choices.
  for (size_t i = 1; i < report.truncated.size(); ++i)
    EXPECT_LT(report.truncated[i - 1].text, report.truncated[i].text);
  ASSERT_FALSE(report.truncated.empty());
  EXPECT_EQ(report.truncated.back().text, 2u);
  EXPECT_THAT(report.warnings, Contains(HasSubstr("text 3: truncated to 40 tokens")));
}

INSTANTIATE_TEST_SUITE_P(Models, MultipleChoice,
                         ::testing::Combine(::testing::Values("cpu", "mlx"), ::testing::ValuesIn(kChoosers)),
                         test::name_of);

// The scores of a prompt depend on its own choices alone, to the bit.
TEST(Choices, StayWithTheirPrompts) {
  const Encoder encoder = load(tiny("bert_choice"));
  const auto prompts = prompts_of(read_json(tiny("bert_choice") / "choices.json"));
  std::vector<ChoiceInput> many;
  for (int i = 0; i < 50; ++i) many.insert(many.end(), prompts.begin(), prompts.end());
  CallReport report;
  const auto all = encoder.choose(many, {.report = &report});
  for (size_t i = 0; i < many.size(); ++i) {
    const auto alone = encoder.choose(std::vector{many[i]}, {.report = &report})[0];
    EXPECT_EQ(all[i].logits, alone.logits);
    EXPECT_EQ(all[i].scores, alone.scores);
  }
  EXPECT_NE(all[0].logits[0], all[0].logits[1]);
}

TEST(Choices, ThatCantBeRatedAreErrors) {
  const Encoder encoder = load(tiny("bert_choice"));
  EXPECT_THAT(error_text(
                  [&] {
                    encoder.choose(std::vector<ChoiceInput>{{"a", {"b"}}, {"c", {}}}, {});
                  },
                  ErrorCode::usage),
              HasSubstr("text 2: found no choice, expected at least one"));
  EXPECT_THAT(error_text(
                  [&] {
                    load(tiny("bert")).choose(std::vector<ChoiceInput>{{"a", {"b"}}});
                  },
                  ErrorCode::unsupported),
              HasSubstr("no multiple choice head"));
  EXPECT_THAT(error_text(
                  [&] {
                    encoder.classify(std::vector<TextInput>{{"a", "b"}});
                  },
                  ErrorCode::unsupported),
              HasSubstr("no classification head"));
  EXPECT_TRUE(encoder.info().chooses);
}

// ---- the heads

TEST(TaskHeads, AreFoundByClassEndingOrTensors) {
  const test::TemporaryFolder folder;
  const auto copy = [&](const char* source, const char* name, const json& architectures) {
    const auto path = changed_copy(tiny(source), folder / name, [](RawTensors&) {});
    test::change_config(path, [&](json& c) { c["architectures"] = architectures; });
    return path;
  };
  test::Heard heard;
  EXPECT_TRUE(load_model(copy("bert_qa", "other", {"RobertaForQuestionAnswering"}), heard.warning())
                  .model.has(Output::span_logits));
  EXPECT_THAT(heard.sentences,
              Contains(HasSubstr("RobertaForQuestionAnswering\", no class of a bert; its weights are read as "
                                 "BertForQuestionAnswering")));
  heard.sentences.clear();
  EXPECT_TRUE(
      load_model(copy("bert_qa", "none", json::array()), heard.warning()).model.has(Output::span_logits));
  EXPECT_THAT(heard.sentences, Contains(HasSubstr("names no class; its weights are read as "
                                                  "BertForQuestionAnswering")));
  EXPECT_TRUE(load_model(copy("roberta_choice", "choice", {"XLMRobertaForMultipleChoice"}), {})
                  .model.has(Output::choice_logits));
  EXPECT_FALSE(load_model(copy("bert_qa", "bare", {"BertModel"}), {}).model.has(Output::span_logits));
  // A head of three outputs is none of spans.
  const auto wide = changed_copy(tiny("bert_qa"), folder / "wide", [](RawTensors& t) {
    t["qa_outputs.weight"] = test::float_tensor({3, 32}, std::vector<float>(96));
    t["qa_outputs.bias"] = test::float_tensor({3}, std::vector<float>(3));
  });
  EXPECT_THAT(error_text([&] { load_model(wide, {}); }, ErrorCode::format), HasSubstr("qa_outputs"));
}

TEST(TaskHeads, OfElectraReadTheSummarysSettings) {
  const test::TemporaryFolder folder;
  const auto copy = changed_copy(tiny("electra_choice"), folder / "m", [](RawTensors&) {});
  const std::vector<ChoiceInput> prompts{{"the river", {"bread", "late"}}};
  const auto gelu = load(copy).choose(prompts)[0].logits;
  test::change_config(copy, [](json& c) { c["summary_activation"] = nullptr; });
  EXPECT_NE(load(copy).choose(prompts)[0].logits, gelu);
  test::change_config(copy, [](json& c) { c["summary_type"] = "mean"; });
  EXPECT_THAT(error_text([&] { load(copy); }, ErrorCode::unsupported), HasSubstr("summary_type"));
}

// The largest error of a folder's head, relative to the original's largest value, at these bits.
double error_at(int bits, const char* name, Output output, std::unique_ptr<Engine> engine) {
  const test::TemporaryFolder folder;
  convert({.model = tiny(name), .output = folder / "q", .scheme = {Mode::affine, bits, 32, Dtype::f32}});
  const test::Golden golden(tiny(name));
  test::Running model(folder / "q", std::move(engine));
  const Matrix found = model.run({.batch = golden.batch("pairs."), .wanted = {output}})[output];
  return test::difference(name, found, golden.matrix(std::string("pairs.") + entry(output).name)).relative;
}

// A step of 8 bits is a 17th of one of 4 bits, and errors are nearly proportional to steps. Errors of single values vary,
// so a fourth is asked for.
TEST(TaskHeads, OfAQuantizedFolderLoseLittle) {
  for (const char* name : {"bert_qa", "modernbert_qa", "electra_choice"}) {
    const Output output =
        std::string_view(name).ends_with("_qa") ? Output::span_logits : Output::choice_logits;
    for (const std::string engine : {"cpu", "mlx"}) {
      std::string why_not;
      auto first = test::make_engine(engine, why_not), second = test::make_engine(engine, why_not);
      if (!first) continue;
      const double fine = error_at(8, name, output, std::move(first)),
                   coarse = error_at(4, name, output, std::move(second));
      EXPECT_LT(fine, coarse / 4) << name << " " << engine;
      EXPECT_GT(fine, 1e-5) << name << " " << engine;
    }
  }
}

}  // namespace
}  // namespace mlxe::question_answering_test
