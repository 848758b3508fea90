#include "encoder/question_answering.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/utf8.h"
#include "encoder/ranking.h"
#include "encoder/score_function.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

// The defaults of transformers' pipeline.
constexpr int64_t kWindow = 384, kStride = 128;
// The logit of a token that no answer begins or ends at.
constexpr float kMasked = -10000.0f;

constexpr size_t kMostSpans = 4096;  // of a window in memory, about

// Tokens [first, last] of a window.
struct TokenSpan {
  float score = 0;  // probability of the first token times that of the last
  size_t first = 0, last = 0;
};

// Code points [begin, end) of the context.
struct ContextSpan {
  float score = 0;
  int32_t begin = 0, end = 0;
};

struct Window {
  std::vector<ContextSpan> spans;  // the best first
  float no_answer = 0;             // score of the first token alone
};

// Sizes that the options and the model imply.
struct Sizes {
  int64_t window, stride;
  size_t candidates;  // of a window
};

Sizes sizes_of(const TextRunner& runner, const AnswerOptions& o) {
  const auto require_positive = [](const char* what, int64_t value) {
    if (value < 1)
      throw Error(ErrorCode::usage, fmt::format("{}: found {}, expected at least 1", what, value));
  };
  require_positive("top_k", o.top_k);
  require_positive("max_answer_len", o.max_answer_len);
  const int64_t most = runner.texts().max_tokens();
  const int64_t window = o.max_seq_len.value_or(std::min(most, kWindow));
  require_positive("max_seq_len", window);
  if (window > most)
    throw Error(ErrorCode::usage,
                fmt::format("max_seq_len: found {}, expected at most {}, the model's tokens", window, most));
  const int64_t stride = o.doc_stride.value_or(std::min(window / 2, kStride));
  if (stride < 0 || stride > window)
    throw Error(
        ErrorCode::usage,
        fmt::format("doc_stride: found {}, expected 0 to {}, the tokens of a window", stride, window));
  // Words that several spans are aligned to merge their answers.
  const int64_t candidates = o.align_to_words ? 2 * o.top_k + 10 : o.top_k;
  return {window, stride, static_cast<size_t>(candidates)};
}

std::vector<TextInput> inputs_of(std::span<const Question> questions, size_t first_text) {
  std::vector<TextInput> inputs;
  for (const Question& q : questions) {
    for (const auto& [what, text] : {std::pair("question", &q.question), std::pair("context", &q.context)})
      if (text->empty())
        throw Error(ErrorCode::format, fmt::format("text {}: the {} is empty, expected a text",
                                                   first_text + inputs.size() + 1, what));
    inputs.push_back({q.question, q.context});
  }
  return inputs;
}

// Reads the logits of one window.
class WindowReader {
 public:
  WindowReader(const TextRunner::TextResult& r, std::optional<int32_t> cls) : encoding_(r.encoding) {
    const Matrix& logits = r.result[Output::span_logits];
    const auto row = static_cast<size_t>(r.batch.offsets[static_cast<size_t>(r.position)]);
    const size_t tokens = encoding_.ids.size();
    std::vector<float> first(tokens, kMasked), last(tokens, kMasked);
    for (size_t t = 0; t < tokens; ++t) {
      // The class token stands for no answer.
      may_answer_.push_back(encoding_.sequence[t] == 1 ||
                            (encoding_.sequence[t] < 0 && encoding_.ids[t] == cls));
      if (!may_answer_[t]) continue;
      first[t] = logits.values[2 * (row + t)];
      last[t] = logits.values[2 * (row + t) + 1];
    }
    first_ = softmax(first);
    last_ = softmax(last);
    no_answer_ = first_[0] * last_[0];
    first_[0] = last_[0] = 0;
  }

  float no_answer() const { return no_answer_; }

  // The best spans of at most `longest` tokens, the best first. Those that are impossible are left out.
  std::vector<TokenSpan> best(size_t most, int64_t longest) const {
    std::vector<TokenSpan> spans;
    const size_t tokens = may_answer_.size();
    for (size_t first = 0; first < tokens; ++first) {
      if (!may_answer_[first]) continue;
      const size_t past = first + std::min(static_cast<size_t>(longest), tokens - first);
      for (size_t last = first; last < past; ++last)
        if (const float score = first_[first] * last_[last]; may_answer_[last] && score > 0)
          spans.push_back({score, first, last});
      if (spans.size() / 2 > std::max(most, kMostSpans)) keep_best(spans, most);
    }
    keep_best(spans, most);
    return spans;
  }

  ContextSpan in_context(const TokenSpan& span, bool align_to_words) const {
    if (align_to_words) {
      const auto begin = word(span.first), end = word(span.last);
      if (begin && end) return {span.score, begin->first, end->second};
    }
    return {span.score, encoding_.code_point_offsets[span.first].first,
            encoding_.code_point_offsets[span.last].second};
  }

 private:
  // The part in this window of the word of a token: of the context's word with the token's number.
  std::optional<TextRange> word(size_t token) const {
    const int32_t wanted = encoding_.word_ids[token];
    if (wanted < 0 || encoding_.sequence[token] < 0) return std::nullopt;
    std::optional<TextRange> range;
    for (size_t t = 0; t < encoding_.word_ids.size(); ++t) {
      if (encoding_.sequence[t] != 1 || encoding_.word_ids[t] != wanted) continue;
      const auto [begin, end] = encoding_.code_point_offsets[t];
      range = {range ? range->first : begin, end};
    }
    return range;
  }

  const Encoding& encoding_;
  std::vector<bool> may_answer_;
  std::vector<float> first_, last_;  // probabilities
  float no_answer_ = 0;
};

// Answers whose texts differ only in case are one answer, at the place of the first; its score is their sum.
std::vector<Answer> merged(const std::vector<Window>& windows, const std::string& context,
                           const AnswerOptions& options) {
  const CodePoints text(context);
  std::vector<Answer> answers;
  std::vector<double> scores;
  std::map<std::string, size_t> known;  // by text in lower case
  for (const Window& window : windows)
    for (const ContextSpan& span : window.spans) {
      std::string words(text.part(span.begin, span.end));
      const auto [place, is_new] = known.try_emplace(lower_case(words), answers.size());
      if (is_new) {
        answers.push_back({.begin = span.begin, .end = span.end, .text = std::move(words)});
        scores.push_back(0);
      }
      scores[place->second] += span.score;
    }
  for (size_t i = 0; i < answers.size(); ++i) answers[i].score = static_cast<float>(scores[i]);
  if (options.handle_impossible_answer && !windows.empty())
    answers.push_back({.score = std::ranges::min_element(windows, {}, &Window::no_answer)->no_answer});
  keep_best(answers, static_cast<size_t>(options.top_k));
  return answers;
}

}  // namespace

std::vector<std::vector<Answer>> answer_questions(const TextRunner& runner,
                                                  std::span<const Question> questions,
                                                  const AnswerOptions& options) {
  if (!runner.model().has(Output::span_logits))
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: the model has no question answering head that this version computes; "
                            "use a ...ForQuestionAnswering checkpoint",
                            runner.checkpoint().folder().string()));
  const Sizes sizes = sizes_of(runner, options);
  if (runner.texts().tokenizer().pads_left())
    runner.tell(options.report,
                "tokenizer_config.json: \"padding_side\" is \"left\"; transformers' pipeline would put the "
                "context before the question, here the question comes first");
  const std::vector<TextInput> inputs = inputs_of(questions, options.first_text);
  TextRunner::Job job;
  job.wanted = {Output::span_logits};
  job.rules.truncation = Truncation::only_second;  // the context
  job.rules.max_tokens = sizes.window;
  job.rules.stride = sizes.stride;
  job.follow(options);
  const std::optional<int32_t> cls = runner.texts().tokenizer().special_ids().cls;
  std::vector<std::vector<Window>> windows(questions.size());
  runner.run(inputs, job, [&](const TextRunner::TextResult& r) {
    const WindowReader reader(r, cls);
    std::vector<Window>& of_text = windows[r.text];
    of_text.resize(std::max(of_text.size(), r.window + 1));
    of_text[r.window].no_answer = reader.no_answer();
    for (const TokenSpan& span : reader.best(sizes.candidates, options.max_answer_len))
      of_text[r.window].spans.push_back(reader.in_context(span, options.align_to_words));
  });
  std::vector<std::vector<Answer>> all;
  for (size_t i = 0; i < questions.size(); ++i)
    all.push_back(merged(windows[i], questions[i].context, options));
  return all;
}

}  // namespace mlxe
