#include "compare/sequences.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <set>
#include <string>

#include "base/thread_pool.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

struct Prompt {
  std::string text;
  int32_t pool_from = 0;
};

// The prompt `embed`, or `classify` for a pair read together, puts before a text unless told otherwise.
Prompt default_prompt(const TextRunner& runner, Pairs pairs) {
  if (pairs == Pairs::together) return {mlxe::default_prompt(runner.sentence(), PromptUse::classification)};
  Prompt prompt{mlxe::default_prompt(runner.sentence(), PromptUse::embedding)};
  if (prompt.text.empty() || runner.model().plan.pools_prompt) return prompt;
  // Without a trailing special token, as sentence-transformers counts.
  const Encoding e = runner.encode({prompt.text, std::nullopt});
  const bool closes = !e.sequence.empty() && e.sequence.back() < 0;
  prompt.pool_from = static_cast<int32_t>(e.ids.size()) - (closes ? 1 : 0);
  return prompt;
}

[[noreturn]] void disagree(const TextRunner& a, const TextRunner& b, const Encoding& x, const Encoding& y) {
  const auto [p, q] = std::ranges::mismatch(x.ids, y.ids);
  const auto token = [](const TextRunner& side, const Encoding& e, auto at) {
    if (at == e.ids.end()) return fmt::format("none (it has {})", e.ids.size());
    return fmt::format("{} {}", *at, printable(side.tokenizer().token(*at)));
  };
  throw Error(
      ErrorCode::format,
      fmt::format("the two folders tokenize differently: token {} is {} in {}, {} in {}; a comparison needs "
                  "the original's tokenizer files (and maximum length) in the converted folder",
                  p - x.ids.begin(), token(a, x, p), a.checkpoint().folder().string(), token(b, y, q),
                  b.checkpoint().folder().string()));
}

}  // namespace

std::vector<Sequence> tokenize_both(const TextRunner& original, const TextRunner& quantized,
                                    std::span<const TextInput> texts, Pairs pairs, int threads,
                                    const Warning& warn) {
  std::vector<Sequence> sequences;
  for (size_t i = 0; i < texts.size(); ++i) {
    sequences.push_back({.text = static_cast<int64_t>(i)});
    if (pairs == Pairs::apart && texts[i].pair)
      sequences.push_back({.text = static_cast<int64_t>(i), .part = 1});
  }
  const std::array sides{&original, &quantized};
  const std::array prompts{default_prompt(original, pairs), default_prompt(quantized, pairs)};

  std::atomic<int64_t> truncated{0};
  ThreadPool pool(threads);
  pool.parallel_for(static_cast<int64_t>(sequences.size()), [&](int64_t i, int) {
    Sequence& s = sequences[i];
    const TextInput& text = texts[s.text];
    try {
      std::array<Encoding, 2> e;
      for (int side = 0; side < 2; ++side) {
        if (pairs == Pairs::apart)
          e[side] = sides[side]->encode(
              {prompts[side].text + (s.part == 0 ? text.text : *text.pair), std::nullopt});
        else
          e[side] = sides[side]->encode({prompts[side].text + text.text, text.pair});
        s.type_ids[side] = std::move(e[side].type_ids);
        s.pool_from[side] = prompts[side].pool_from;
        TextRunner::require_tokens(e[side], s.pool_from[side]);
      }
      if (e[0].ids != e[1].ids) disagree(original, quantized, e[0], e[1]);
      if (e[0].dropped_tokens > 0) ++truncated;
      s.ids = std::move(e[0].ids);
    } catch (const Error& error) {
      throw Error(error.code(), fmt::format("text {}: {}", s.text + 1, error.what()));
    }
  });
  if (truncated > 0 && warn)
    warn(fmt::format("{} of {} texts are longer than {} tokens and were truncated, on both sides alike",
                     truncated.load(), sequences.size(), original.max_tokens()));
  return sequences;
}

std::vector<size_t> different_sequences(std::span<const Sequence> sequences) {
  const auto less = [&](size_t a, size_t b) { return sequences[a].ids < sequences[b].ids; };
  std::set<size_t, decltype(less)> seen(less);
  std::vector<size_t> different;
  for (size_t i = 0; i < sequences.size(); ++i)
    if (seen.insert(i).second) different.push_back(i);
  return different;
}

std::vector<size_t> by_length(std::span<const Sequence> sequences) {
  std::vector<size_t> order(sequences.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return sequences[i].ids.size(); });
  return order;
}

}  // namespace mlxe
