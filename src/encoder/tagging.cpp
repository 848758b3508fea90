#include "encoder/tagging.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/utf8.h"
#include "encoder/score_function.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

TextRunner::Job tagging_job(const TextRunner& runner) {
  if (!runner.model().has(Output::token_logits))
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{}: the model has no token classification head (config.json's \"architectures\" names "
                    "none); use a ...ForTokenClassification checkpoint",
                    runner.checkpoint().folder().string()));
  TextRunner::Job job;
  job.wanted = {Output::token_logits};
  job.rules.without_tokens = WithoutTokens::accept;
  return job;
}

// As transformers' token-classification pipeline decides: where tokens inside a word have a prefix, a token continues
// a word if it is not as long as its text; elsewhere if it neither follows nor begins with a space.
bool continues_word(const Tokenizer& tokenizer, std::string_view text, const Encoding& e, size_t i) {
  if (tokenizer.special_ids().unk == e.ids[i]) return false;
  const auto begin = static_cast<size_t>(e.offsets[i].first), end = static_cast<size_t>(e.offsets[i].second);
  if (tokenizer.marks_subwords())
    return code_points(tokenizer.token(e.ids[i])) != code_points(text.substr(begin, end - begin));
  return begin > 0 && text[begin - 1] != ' ' && (begin == text.size() || text[begin] != ' ');
}

TokenScores scores_of_token(const TextRunner::TextResult& r, const Tokenizer& tokenizer,
                            std::string_view text, size_t i) {
  const Matrix& logits = r.result[Output::token_logits];
  const int64_t row = r.batch.offsets[static_cast<size_t>(r.position)] + static_cast<int64_t>(i);
  const Encoding& e = r.encoding;
  return {.begin = e.code_point_offsets[i].first,
          .end = e.code_point_offsets[i].second,
          .continues_word = continues_word(tokenizer, text, e, i),
          .scores = softmax(logits.row(row))};
}

// A text made of words with spaces between them.
struct Sentence {
  std::string text;
  std::vector<TextRange> words;  // code points
};

Sentence sentence_of(const std::vector<std::string>& words) {
  Sentence s;
  int32_t at = 0;
  for (const std::string& word : words) {
    if (!s.words.empty()) s.text += ' ';
    s.text += word;
    s.words.emplace_back(at, at + code_points(word));
    at = s.words.back().second + 1;
  }
  return s;
}

// For each word its first token, if it has one. A space that the tokenizer splits off a word, as "\u2581" or "\u0120",
// is the word's first token: texts that are split into words are trained so.
std::vector<std::optional<size_t>> first_tokens(const Encoding& e, std::span<const TextRange> words) {
  std::vector<std::optional<size_t>> all;
  size_t token = 0;
  int32_t end_before = 0;  // of the word before
  for (const auto& [begin, end] : words) {
    while (token < e.ids.size() && (e.sequence[token] < 0 || e.code_point_offsets[token].second <= begin))
      ++token;
    if (token == e.ids.size() || e.code_point_offsets[token].first >= end) {
      all.emplace_back();
    } else {
      size_t first = token;
      while (first > 0 && e.sequence[first - 1] >= 0 && e.word_ids[first - 1] == e.word_ids[token] &&
             e.code_point_offsets[first - 1].first >= end_before)
        --first;
      all.emplace_back(first);
    }
    end_before = end;
  }
  return all;
}

}  // namespace

std::vector<std::vector<TokenScores>> score_tokens(const TextRunner& runner,
                                                   std::span<const std::string> texts,
                                                   const TagOptions& options) {
  TextRunner::Job job = tagging_job(runner);
  job.rules.truncation = Truncation::only_first;
  job.rules.stride = options.stride;
  job.follow(options);
  if (options.stride)
    runner.texts().encode_windows({}, job.rules);  // an impossible stride is no text's fault
  const std::vector<TextInput> inputs(texts.begin(), texts.end());
  std::vector<std::vector<TokenScores>> all(texts.size());
  runner.run(inputs, job, [&](const TextRunner::TextResult& r) {
    int32_t index = r.encoding.first;
    for (size_t i = 0; i < r.encoding.ids.size(); ++i) {
      if (r.encoding.sequence[i] < 0) continue;
      TokenScores& token =
          all[r.text].emplace_back(scores_of_token(r, runner.texts().tokenizer(), texts[r.text], i));
      token.window = static_cast<int32_t>(r.window);
      token.index = index++;
    }
  });
  for (std::vector<TokenScores>& tokens : all) std::ranges::stable_sort(tokens, {}, &TokenScores::window);
  return all;
}

std::vector<std::vector<TokenScores>> score_words(const TextRunner& runner,
                                                  std::span<const std::vector<std::string>> sentences,
                                                  const ClassifyOptions& options) {
  TextRunner::Job job = tagging_job(runner);
  job.follow(options);
  std::vector<TextInput> inputs;
  std::vector<std::vector<TextRange>> words;
  for (const std::vector<std::string>& sentence : sentences) {
    Sentence s = sentence_of(sentence);
    inputs.push_back({std::move(s.text), std::nullopt});
    words.push_back(std::move(s.words));
  }
  std::vector<std::vector<TokenScores>> all(sentences.size());
  for (size_t s = 0; s < all.size(); ++s) all[s].resize(sentences[s].size());
  runner.run(inputs, job, [&](const TextRunner::TextResult& r) {
    const auto first = first_tokens(r.encoding, words[r.text]);
    for (size_t w = 0; w < first.size(); ++w)
      if (first[w])
        all[r.text][w] = scores_of_token(r, runner.texts().tokenizer(), inputs[r.text].text, *first[w]);
  });
  return all;
}

}  // namespace mlxe
