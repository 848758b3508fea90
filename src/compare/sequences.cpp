#include "compare/sequences.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <string>

#include "format/json_file.h"
#include "format/task_adapters.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

[[noreturn]] void disagree(const TextRunner& a, const TextRunner& b, const Encoding& x, const Encoding& y) {
  const auto [p, q] = std::ranges::mismatch(x.ids, y.ids);
  const auto token = [](const TextRunner& side, const Encoding& e, auto at) {
    if (at == e.ids.end()) return fmt::format("none (it has {})", e.ids.size());
    return fmt::format("{} {}", *at, printable(side.texts().tokenizer().token(*at)));
  };
  throw Error(
      ErrorCode::format,
      fmt::format("the two folders tokenize differently: token {} is {} in {}, {} in {}; a comparison needs "
                  "the original's tokenizer files (and maximum length) in the converted folder",
                  p - x.ids.begin(), token(a, x, p), a.checkpoint().folder().string(), token(b, y, q),
                  b.checkpoint().folder().string()));
}

// Of a model with weights for several tasks (jina-embeddings-v3). Errors: usage.
void require_one_task(const TextRunner& original, const TextRunner& quantized) {
  const auto task_of = [](const TextRunner& side) {
    return side.checkpoint().config().get_or<std::string>(kDefaultTask, "");
  };
  const std::string a = task_of(original), b = task_of(quantized);
  if (a == b) return;
  const auto said = [](const TextRunner& side, const std::string& task) {
    return fmt::format("{} has the weights of {}", side.checkpoint().folder().string(),
                       task.empty() ? "no task" : "the task " + printable(task));
  };
  throw Error(ErrorCode::usage,
              fmt::format("{}, and {}; compare models of one task (--task is the original's)",
                          said(original, a), said(quantized, b)));
}

}  // namespace

std::vector<Sequence> tokenize_both(const TextRunner& original, const TextRunner& quantized,
                                    std::span<const TextInput> texts, Pairs pairs, const Warning& warn,
                                    std::span<const size_t> numbers) {
  require_one_task(original, quantized);
  std::vector<Sequence> sequences;
  for (size_t i = 0; i < texts.size(); ++i) {
    sequences.push_back({.text = static_cast<int64_t>(i), .number = numbers.empty() ? i + 1 : numbers[i]});
    if (pairs != Pairs::apart || !texts[i].pair) continue;
    sequences.push_back(sequences.back());
    sequences.back().part = 1;
  }
  const std::array sides{&original.texts(), &quantized.texts()};
  const PromptUse use = pairs == Pairs::together ? PromptUse::classification : PromptUse::embedding;
  const std::array rules{TextRules{.prompt = sides[0]->default_prompt(use)},
                         TextRules{.prompt = sides[1]->default_prompt(use)}};

  std::atomic<int64_t> truncated{0};
  original.pool()->parallel_for(static_cast<int64_t>(sequences.size()), [&](int64_t i, int) {
    Sequence& s = sequences[static_cast<size_t>(i)];
    const TextInput& text = texts[static_cast<size_t>(s.text)];
    const EncodeInput input =
        pairs == Pairs::together ? view_of(text) : EncodeInput{s.part == 0 ? text.text : *text.pair, {}};
    try {
      std::array<Encoding, 2> e;
      for (size_t side = 0; side < 2; ++side) {
        e[side] = side == 1 && sides[1] == sides[0] ? e[0] : sides[side]->encode(input, rules[side]);
        s.pool_from[side] = rules[side].prompt.pool_from;
      }
      if (e[0].ids != e[1].ids) disagree(original, quantized, e[0], e[1]);
      if (e[0].dropped_tokens > 0) ++truncated;
      s.ids = std::move(e[0].ids);
      s.type_ids = {std::move(e[0].type_ids), std::move(e[1].type_ids)};
    } catch (const Error& error) {
      throw Error(error.code(), fmt::format("text {}: {}", s.number, error.what()));
    }
  });
  if (truncated > 0 && warn)
    warn(fmt::format("{} of {} texts are longer than {} tokens and were truncated, on both sides alike",
                     truncated.load(), sequences.size(), original.texts().max_tokens()));
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

std::vector<size_t> lengths_of(std::span<const Sequence> sequences) {
  std::vector<size_t> lengths;
  for (const Sequence& s : sequences) lengths.push_back(s.ids.size());
  return lengths;
}

void append(RunRequest& request, const Sequence& sequence, Side side) {
  const auto which = static_cast<size_t>(side);
  request.batch.append(sequence.ids, sequence.type_ids[which], sequence.pool_from[which]);
  request.numbers.push_back(sequence.number);
}

}  // namespace mlxe
