#include "calibrate/calibration_texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/text.h"
#include "base/wording.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe::calibrate {
namespace {

using Say = std::function<void(const std::string& sentence)>;

// Every (of / count)-th index below `of`.
std::vector<size_t> spread(size_t of, size_t count) {
  std::vector<size_t> indices;
  for (size_t i = 0; i < count; ++i) indices.push_back(i * of / count);
  return indices;
}

double percent(int64_t part, int64_t of) {
  return 100.0 * static_cast<double>(part) / static_cast<double>(of);
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

// Whether the labels are those of pairs of texts, as in natural language inference.
bool are_of_pairs(const std::vector<std::string>& labels) {
  return std::ranges::any_of(labels, [](const std::string& label) {
    return std::ranges::any_of(
        std::array{"entail", "contradict", "duplicate", "paraphrase"},
        [&](const char* stem) { return lowercase(label).find(stem) != std::string::npos; });
  });
}

enum class Pairs { together, apart };

// Texts as the model reads them, and the number of each among the given ones.
struct Inputs {
  std::vector<EncodeInput> texts;
  std::vector<size_t> numbers;
};

// Without empty texts.
Inputs inputs_of(const std::vector<TextInput>& texts, Pairs pairs, const Say& warn) {
  Inputs inputs;
  size_t all = 0, empty = 0, number = 0;
  const auto add = [&](const EncodeInput& input) {
    ++all;
    if (is_blank(input.text) || (input.pair && is_blank(*input.pair))) {
      ++empty;
      return;
    }
    inputs.texts.push_back(input);
    inputs.numbers.push_back(number);
  };
  for (const TextInput& text : texts) {
    ++number;
    if (pairs == Pairs::together && text.pair) {
      add({text.text, *text.pair});
      continue;
    }
    add({text.text, std::nullopt});
    if (text.pair) add({*text.pair, std::nullopt});
  }
  if (empty > 0 && !inputs.texts.empty())
    warn(fmt::format("{} of the {} texts {} empty and left out", empty, all, empty == 1 ? "is" : "are"));
  return inputs;
}

void check_inputs(const std::vector<EncodeInput>& inputs, const Model& model, const Say& warn) {
  std::set<std::pair<std::string_view, std::string_view>> different;
  size_t numbers = 0, pairs = 0;
  for (const EncodeInput& input : inputs) {
    different.emplace(input.text, input.pair.value_or(""));
    numbers += !input.pair && finite_number(input.text);
    pairs += input.pair.has_value();
  }
  if (2 * numbers > inputs.size())
    warn(fmt::format("{} of the {} texts are numbers; give the column of the texts, under the name `text`",
                     numbers, inputs.size()));
  if (10 * different.size() <= inputs.size()) {
    std::vector<std::string> examples;
    for (const auto& [text, pair] : different) examples.push_back(printable(text));
    warn(fmt::format(
        "found only {} different text{} among {} ({}), which look like labels; give the column of the "
        "texts, under the name `text`",
        different.size(), different.size() == 1 ? "" : "s", inputs.size(), listed(examples, 3)));
  } else if (2 * different.size() < inputs.size()) {
    warn(fmt::format("{} of the {} texts repeat another text: only {} different texts count",
                     inputs.size() - different.size(), inputs.size(), different.size()));
  }
  if (pairs == 0 && model.has(Output::text_logits) && are_of_pairs(model.labels))
    warn(
        fmt::format("the model's labels ({}) are of pairs, but all {} texts stand alone; give pairs, in "
                    "columns `text` and `text_pair`",
                    listed(model.labels, 3), inputs.size()));
}

// Number of letters of the tokens. A character of a script without an alphabet (nearly all from U+3000 on) is a
// syllable or a word, and counts as two letters.
int64_t letters(const EncodeInput& input, const Encoding& e) {
  int64_t count = 0;
  std::array<int32_t, 2> counted{};  // bytes of each text: several tokens may share a character's bytes
  for (size_t t = 0; t < e.ids.size(); ++t) {
    if (e.sequence[t] < 0) continue;
    const std::string_view text = e.sequence[t] == 0 ? input.text : *input.pair;
    int32_t& done = counted[static_cast<size_t>(e.sequence[t])];
    for (done = std::max(done, e.offsets[t].first); done < e.offsets[t].second; ++done) {
      const auto byte = static_cast<unsigned char>(text[static_cast<size_t>(done)]);
      if ((byte & 0xc0) != 0x80) count += byte >= 0xe3 ? 2 : 1;
    }
  }
  return count;
}

// How well a vocabulary covers texts. Special tokens that were added do not count.
struct Coverage {
  int64_t tokens = 0, unknown = 0;
  int64_t spelled_tokens = 0, spelled_letters = 0;  // of texts with less than 1.5 letters a token

  void add(const EncodeInput& input, const Encoding& e, std::optional<int32_t> unk) {
    int64_t here = 0;
    for (size_t t = 0; t < e.ids.size(); ++t) {
      if (e.sequence[t] < 0) continue;
      ++here;
      unknown += unk && e.ids[t] == *unk;
    }
    tokens += here;
    if (const int64_t count = letters(input, e); 2 * count < 3 * here) {
      spelled_tokens += here;
      spelled_letters += count;
    }
  }

  bool knows_few() const { return 20 * unknown > tokens; }
  bool spells() const { return 2 * spelled_tokens > tokens; }

  void check(const Say& warn) const {
    if (knows_few())
      warn(
          fmt::format("{} of the {} tokens ({:.0f} %) are unknown to the model's vocabulary; calibrate on "
                      "texts in a language it covers",
                      unknown, tokens, percent(unknown, tokens)));
    if (spells())
      warn(
          fmt::format("{:.0f} % of the tokens are of texts that the model's vocabulary spells almost letter "
                      "by letter ({:.1f} letters a token); calibrate on texts in a language it covers",
                      percent(spelled_tokens, tokens),
                      static_cast<double>(spelled_letters) / static_cast<double>(spelled_tokens)));
  }
};

// A text without tokens is left out of the batch. No prompt is added: calibration texts run as they are.
const TextRules kRules{.without_tokens = WithoutTokens::accept};

// Texts, and the tokens of each.
struct Tokenized {
  std::vector<EncodeInput> inputs;
  std::vector<Encoding> encodings;

  int64_t tokens() const {
    int64_t count = 0;
    for (const Encoding& e : encodings) count += static_cast<int64_t>(e.ids.size());
    return count;
  }

  // Appends texts, spread evenly over all, up to about `most` tokens. Returns their indices.
  std::vector<size_t> append(int64_t most, Batch& batch) const {
    const int64_t before = batch.tokens(), all = tokens();
    size_t kept = encodings.size();
    if (all > most) kept = std::max<size_t>(1, static_cast<size_t>(static_cast<int64_t>(kept) * most / all));
    std::vector<size_t> appended;
    for (const size_t i : spread(encodings.size(), kept)) {
      const Encoding& e = encodings[i];
      const int64_t with_it = batch.tokens() - before + static_cast<int64_t>(e.ids.size());
      if (e.ids.empty() || with_it > most + most / 8) continue;
      batch.append(e.ids, e.type_ids);
      appended.push_back(i);
    }
    return appended;
  }
};

// The built-in lines that the vocabulary covers.
Tokenized covered(const std::vector<EncodeInput>& lines, const TextTokenizer& tokenizer) {
  Tokenized result;
  for (const EncodeInput& line : lines) try {
      Encoding e = tokenizer.encode(line, kRules);
      Coverage coverage;
      coverage.add(line, e, tokenizer.tokenizer().special_ids().unk);
      if (coverage.knows_few() || coverage.spells()) continue;
      result.inputs.push_back(line);
      result.encodings.push_back(std::move(e));
    } catch (const Error& error) {  // an unknown word, and the vocabulary has no unknown token
      if (error.code() != ErrorCode::format) throw;
    }
  return result;
}

}  // namespace

Calibration with_default_texts(Calibration calibration) {
  if (calibration.texts.empty() && calibration.built_in == BuiltInText::mixed_in) {
    calibration.texts = default_calibration_texts();
    calibration.built_in = BuiltInText::left_out;  // they are in `texts` now
  }
  return calibration;
}

int64_t most_tokens(int64_t widest_input) {
  constexpr int64_t kTokens = 24'576, kTokensPerColumn = 10;
  return std::max(kTokens, kTokensPerColumn * widest_input);
}

int64_t wanted_tokens(int64_t widest_input) {
  constexpr int64_t kTokens = 18'432, kTokensPerColumn = 4;
  return std::min(kTokensPerColumn * widest_input, kTokens);
}

Batch tokenize(const Calibration& wanted, const Model& model, const TextTokenizer& tokenizer,
               int64_t widest_input, ThreadPool& pool, const Warning& warning) {
  const Say warn = [&](const std::string& sentence) {
    if (warning) warning("calibration: " + sentence);
  };
  const Calibration calibration = with_default_texts(wanted);
  const std::optional<int32_t> unk = tokenizer.tokenizer().special_ids().unk;
  const int64_t most = most_tokens(widest_input);

  Inputs inputs = inputs_of(calibration.texts, model.reads_pairs() ? Pairs::together : Pairs::apart, warn);
  if (!inputs.texts.empty()) check_inputs(inputs.texts, model, warn);
  if (calibration.limit > 0 && calibration.limit < inputs.texts.size()) {
    Inputs some;
    for (const size_t i : spread(inputs.texts.size(), calibration.limit)) {
      some.texts.push_back(inputs.texts[i]);
      some.numbers.push_back(inputs.numbers[i]);
    }
    inputs = std::move(some);
  }
  const bool any_pair =
      std::ranges::any_of(inputs.texts, [](const EncodeInput& i) { return i.pair.has_value(); });
  std::vector<Encoding> encodings =
      tokenizer.encode_all(inputs.texts, kRules, pool, [&](size_t i) { return inputs.numbers[i]; });
  const Tokenized given{std::move(inputs.texts), std::move(encodings)};
  Batch batch;
  Coverage coverage;
  int64_t truncated = 0;
  const double given_share = calibration.built_in == BuiltInText::mixed_in ? 1 - kBuiltInShare : 1;
  const auto of_given = static_cast<int64_t>(static_cast<double>(most) * given_share);
  // An explicit number of texts is not reduced to the number of tokens.
  for (const size_t i : given.append(calibration.limit > 0 ? given.tokens() : of_given, batch)) {
    coverage.add(given.inputs[i], given.encodings[i], unk);
    truncated += given.encodings[i].truncated;
  }
  const int64_t enough = wanted_tokens(widest_input);
  if (coverage.tokens == 0)
    throw Error(ErrorCode::usage,
                fmt::format("calibration: the {} text{} hold no tokens; give at least {} tokens of text like "
                            "what the model will see",
                            calibration.texts.size(), calibration.texts.size() == 1 ? "" : "s", enough));
  coverage.check(warn);
  if (truncated > 0)
    warn(fmt::format("{} of the {} texts were truncated to {} tokens", truncated, batch.texts(),
                     tokenizer.max_tokens()));
  if (calibration.built_in == BuiltInText::mixed_in) {
    const std::vector<TextInput> lines = default_calibration_texts();
    const Tokenized built_in =
        covered(inputs_of(lines, any_pair ? Pairs::together : Pairs::apart, warn).texts, tokenizer);
    const auto share =
        static_cast<int64_t>(static_cast<double>(batch.tokens()) * kBuiltInShare / (1 - kBuiltInShare));
    for (const size_t i : built_in.append(std::max(most - batch.tokens(), share), batch))
      coverage.add(built_in.inputs[i], built_in.encodings[i], unk);
  }
  if (coverage.tokens < enough)
    warn(
        fmt::format("found {} tokens in {} texts, expected at least {} for matrices of {} columns: the "
                    "result may suit only these texts",
                    coverage.tokens, batch.texts(), enough, widest_input));
  return batch;
}

}  // namespace mlxe::calibrate
