// Token ids of several texts, one after another: ragged, never padded.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "mlx_encoder/error.h"
#include "models/outputs.h"

namespace mlxe {

// The number of a text in messages: numbers[text], or without numbers from 1 on.
inline size_t number_of(std::span<const size_t> numbers, size_t text) {
  return text < numbers.size() ? numbers[text] : text + 1;
}

// Tokens [begin, end) of Batch::ids, part of one text.
struct PooledTokens {
  int32_t text = 0, begin = 0, end = 0;
};

struct Batch {
  std::vector<int32_t> ids;          // [T]
  std::vector<int32_t> token_types;  // [T]; models without token types ignore it
  std::vector<int32_t> offsets{0};   // [B + 1]; text b is ids[offsets[b], offsets[b + 1])
  std::vector<int32_t> pool_from;    // [B]; pooling skips this many leading tokens (a prompt), 0 as a rule
  std::vector<int32_t> keys;         // [B]; attention reads this many leading tokens of a text; empty: all
  std::vector<int32_t>
      chosen;  // tokens with a row of their own in OutputRows::chosen; ascending indices of ids
  // Parts of texts that are pooled apart, of one text after the other. Each has a row of its own in OutputRows::texts.
  // Empty: each text is pooled whole, without the tokens that `pool_from` skips.
  std::vector<PooledTokens> parts;

  int64_t texts() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t tokens() const { return static_cast<int64_t>(ids.size()); }
  int32_t length(int64_t text) const { return offsets[text + 1] - offsets[text]; }
  int32_t key_count(int64_t text) const {
    return keys.empty() ? length(text) : keys[static_cast<size_t>(text)];
  }

  // `types` may be empty: all zero. `unread`: how many tokens at the end attention does not read; fewer than there are.
  // Errors: usage (no ids: a text without tokens has no result).
  void append(std::span<const int32_t> text_ids, std::span<const int32_t> types = {}, int32_t skip = 0,
              int32_t unread = 0) {
    if (text_ids.empty()) throw Error(ErrorCode::usage, "a text without tokens can't be run");
    ids.insert(ids.end(), text_ids.begin(), text_ids.end());
    if (types.empty())
      token_types.resize(ids.size(), 0);
    else
      token_types.insert(token_types.end(), types.begin(), types.end());
    offsets.push_back(static_cast<int32_t>(ids.size()));
    pool_from.push_back(skip);
    keys.push_back(static_cast<int32_t>(text_ids.size()) - unread);
  }

  // Chooses all tokens with this id.
  void choose(int32_t id) {
    chosen.clear();
    for (size_t t = 0; t < ids.size(); ++t)
      if (ids[t] == id) chosen.push_back(static_cast<int32_t>(t));
  }

  // Pools these tokens of the last text apart; counted from the text's first.
  void pool_apart(int32_t begin, int32_t end) {
    const int32_t start = offsets[offsets.size() - 2];
    parts.push_back({static_cast<int32_t>(texts()) - 1, start + begin, start + end});
  }

  // The tokens of a row of OutputRows::texts.
  PooledTokens pooled(int64_t row) const {
    if (!parts.empty()) return parts[static_cast<size_t>(row)];
    const auto text = static_cast<size_t>(row);
    return {static_cast<int32_t>(row), std::min(offsets[text] + pool_from[text], offsets[text + 1]),
            offsets[text + 1]};
  }

  // Number of an output's rows that belong to texts before `text`.
  int64_t rows_before(OutputRows kind, int64_t text) const {
    if (kind == OutputRows::texts)
      return parts.empty() ? text
                           : std::ranges::lower_bound(parts, text, {}, &PooledTokens::text) - parts.begin();
    const int32_t token = offsets[static_cast<size_t>(text)];
    if (kind == OutputRows::tokens) return token;
    return std::ranges::lower_bound(chosen, token) - chosen.begin();
  }
  int64_t rows(OutputRows kind) const { return rows_before(kind, texts()); }

  // Each token's index within its text, plus `first`.
  std::vector<int32_t> positions(int32_t first = 0) const {
    std::vector<int32_t> p(ids.size());
    for (int64_t b = 0; b < texts(); ++b)
      std::iota(p.begin() + offsets[b], p.begin() + offsets[b + 1], first);
    return p;
  }

  // The row of each text's first token (CLS).
  std::span<const int32_t> first_rows() const { return std::span(offsets).first(offsets.size() - 1); }
};

}  // namespace mlxe
