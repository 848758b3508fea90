// Tokens with a score a label to entities.
#include <fmt/format.h>

#include <algorithm>

#include "mlx_encoder/encoder.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr std::string_view kOutside = "O";

// A stretch of text with one tag.
struct Piece {
  std::string tag;
  float score = 0;
  int32_t begin = 0, end = 0;
};

Piece best(std::span<const float> scores, std::span<const std::string> labels, int32_t begin, int32_t end) {
  const auto top = std::ranges::max_element(scores);
  return {labels[static_cast<size_t>(top - scores.begin())], *top, begin, end};
}

Piece joined(std::span<const TokenScores> word, std::span<const std::string> labels,
             Aggregation aggregation) {
  const int32_t begin = word.front().begin, end = word.back().end;
  if (aggregation == Aggregation::first) return best(word.front().scores, labels, begin, end);
  if (aggregation == Aggregation::max) {
    const auto surest = std::ranges::max_element(
        word, {}, [](const TokenScores& t) { return *std::ranges::max_element(t.scores); });
    return best(surest->scores, labels, begin, end);
  }
  std::vector<float> mean(labels.size());
  for (const TokenScores& t : word)
    for (size_t i = 0; i < mean.size(); ++i) mean[i] += t.scores[i] / static_cast<float>(word.size());
  return best(mean, labels, begin, end);
}

std::vector<Piece> pieces(std::span<const TokenScores> tokens, std::span<const std::string> labels,
                          Aggregation aggregation) {
  const bool by_word = aggregation != Aggregation::none && aggregation != Aggregation::simple;
  std::vector<Piece> all;
  for (size_t first = 0; first < tokens.size();) {
    size_t end = first + 1;
    while (by_word && end < tokens.size() && tokens[end].continues_word) ++end;
    all.push_back(by_word ? joined(tokens.subspan(first, end - first), labels, aggregation)
                          : best(tokens[first].scores, labels, tokens[first].begin, tokens[first].end));
    first = end;
  }
  return all;
}

bool has_prefix(const std::string& tag) {
  return tag.starts_with("B-") || tag.starts_with("I-");
}
std::string type_of(const std::string& tag) {
  return has_prefix(tag) ? tag.substr(2) : tag;
}

}  // namespace

Aggregation parse_aggregation(std::string_view spelling) {
  if (spelling == "none") return Aggregation::none;
  if (spelling == "simple") return Aggregation::simple;
  if (spelling == "first") return Aggregation::first;
  if (spelling == "average") return Aggregation::average;
  if (spelling == "max") return Aggregation::max;
  throw Error(ErrorCode::usage,
              fmt::format("the aggregation \"{}\" is unknown; expected none, simple, first, average or max",
                          spelling));
}

std::vector<Entity> entities(std::span<const TokenScores> tokens, std::span<const std::string> labels,
                             Aggregation aggregation) {
  const std::vector<Piece> all = pieces(tokens, labels, aggregation);
  std::vector<Entity> found;
  for (size_t first = 0; first < all.size();) {
    size_t end = first + 1;
    const std::string type = type_of(all[first].tag);
    double score = all[first].score;
    if (aggregation != Aggregation::none)
      for (; end < all.size() && type_of(all[end].tag) == type && !all[end].tag.starts_with("B-"); ++end)
        score += all[end].score;
    if (all[first].tag != kOutside)
      found.push_back({aggregation == Aggregation::none ? all[first].tag : type,
                       static_cast<float>(score / static_cast<double>(end - first)), all[first].begin,
                       all[end - 1].end});
    first = end;
  }
  return found;
}

}  // namespace mlxe
