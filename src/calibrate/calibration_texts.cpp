#include "calibrate/calibration_texts.h"

#include <fmt/format.h>

#include <algorithm>

#include "mlx_encoder/error.h"

namespace mlxe::calibrate {
namespace {

// Every (of / count)-th index below `of`.
std::vector<size_t> spread(size_t of, size_t count) {
  std::vector<size_t> indices;
  for (size_t i = 0; i < count; ++i) indices.push_back(i * of / count);
  return indices;
}

int64_t most_tokens_of_a_text(const LoadedModel& model, const Tokenizer& tokenizer) {
  int64_t most = model.model.max_tokens();
  for (const int64_t limit : {model.sentence.max_seq_length.value_or(0), tokenizer.model_max_length()})
    if (limit > 0) most = std::min(most, limit);
  return most;
}

}  // namespace

Batch tokenize(const Calibration& calibration, const LoadedModel& model, const Tokenizer& tokenizer,
               ThreadPool& pool, const Warning& warning) {
  const auto warn = [&](const std::string& sentence) {
    if (warning) warning("calibration: " + sentence);
  };
  std::vector<EncodeInput> inputs;
  for (const TextInput& text : calibration.texts) {
    if (model.model.classifier && text.pair) {
      inputs.push_back({text.text, *text.pair});
      continue;
    }
    inputs.push_back({text.text, std::nullopt});
    if (text.pair) inputs.push_back({*text.pair, std::nullopt});
  }
  if (calibration.limit > 0 && calibration.limit < inputs.size()) {
    std::vector<EncodeInput> some;
    for (const size_t i : spread(inputs.size(), calibration.limit)) some.push_back(inputs[i]);
    inputs = std::move(some);
  }
  std::vector<Encoding> encodings =
      tokenizer.encode_batch(inputs, {.max_length = most_tokens_of_a_text(model, tokenizer)}, pool);
  int64_t all = 0;
  for (const Encoding& e : encodings) all += static_cast<int64_t>(e.ids.size());
  size_t kept = encodings.size();
  if (all > kMostTokens)
    kept = std::max<size_t>(1, static_cast<size_t>(static_cast<int64_t>(kept) * kMostTokens / all));

  Batch batch;
  int64_t words = 0, unknown = 0, truncated = 0;
  const std::optional<int32_t> unk = tokenizer.special_ids().unk;
  for (const size_t i : spread(encodings.size(), kept)) {
    const Encoding& e = encodings[i];
    if (e.ids.empty() || batch.tokens() + static_cast<int64_t>(e.ids.size()) > kMostTokens + kMostTokens / 8)
      continue;
    batch.append(e.ids, e.type_ids);
    truncated += e.truncated;
    for (size_t t = 0; t < e.ids.size(); ++t) {
      if (e.sequence[t] < 0) continue;
      ++words;
      unknown += unk && e.ids[t] == *unk;
    }
  }
  if (words == 0)
    throw Error(ErrorCode::usage,
                fmt::format("calibration: the {} text{} hold no tokens; give at least {} tokens of text like "
                            "what the model will see",
                            inputs.size(), inputs.size() == 1 ? "" : "s", kWantedTokens));
  if (words < kWantedTokens)
    warn(
        fmt::format("found {} tokens in {} texts, at least {} are wanted: the result may fit these texts and "
                    "no others",
                    words, batch.texts(), kWantedTokens));
  if (20 * unknown > words)
    warn(
        fmt::format("{:.0f} % of the tokens are unknown to the model's vocabulary; calibrate on texts in a "
                    "language it covers",
                    100.0 * static_cast<double>(unknown) / static_cast<double>(words)));
  if (truncated > 0)
    warn(fmt::format("{} of the {} texts were truncated to {} tokens", truncated, batch.texts(),
                     most_tokens_of_a_text(model, tokenizer)));
  return batch;
}

}  // namespace mlxe::calibrate
