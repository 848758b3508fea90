// Converts tokens with scores to entities.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "mlx_encoder/encoder.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr std::string_view kOutside = "O";

// A range of text with one tag.
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

// A parsed tag: its type, and whether it begins or ends an entity.
struct Tag {
  std::string type;
  bool outside = false, begins = false, ends = false;
};

// The tags of a model. B- and I- are always prefixes, as in transformers' pipeline. E- and S- (BIOES), L-
// and U- (BILOU) are prefixes only if the model also has the type's B-: otherwise "S-curve" is a type.
class Tags {
 public:
  explicit Tags(std::span<const std::string> labels) : labels_(labels.begin(), labels.end()) {}

  Tag parse(const std::string& label) const {
    if (label == kOutside) return {.outside = true};
    if (label.size() < 2 || label[1] != '-') return {.type = label};
    const std::string type = label.substr(2);
    const char prefix = label[0];
    const bool ends = prefix == 'E' || prefix == 'L', alone = prefix == 'S' || prefix == 'U';
    if ((ends || alone) && !labels_.contains("B-" + type)) return {.type = label};
    if (!ends && !alone && prefix != 'B' && prefix != 'I') return {.type = label};
    return {.type = type, .begins = prefix == 'B' || alone, .ends = ends || alone};
  }

 private:
  std::set<std::string> labels_;
};

// The tokens of the first window.
std::span<const TokenScores> first_window(std::span<const TokenScores> tokens) {
  const auto end =
      std::ranges::find_if(tokens, [&](const TokenScores& t) { return t.window != tokens.front().window; });
  return tokens.first(static_cast<size_t>(end - tokens.begin()));
}

// Each token of the text once: of the window where it is farthest from a cut, or of the first such window.
std::vector<TokenScores> each_once(std::span<const TokenScores> tokens) {
  struct Choice {
    const TokenScores* token;
    int32_t distance;
  };
  const int32_t last = std::ranges::max_element(tokens, {}, &TokenScores::index)->index;
  std::map<int32_t, Choice> chosen;  // by index
  for (auto rest = tokens; !rest.empty();) {
    const auto window = first_window(rest);
    rest = rest.subspan(window.size());
    const int32_t begin = window.front().index, end = window.back().index;
    for (const TokenScores& token : window) {
      const int32_t before = begin == 0 ? last : token.index - begin,
                    after = end == last ? last : end - token.index;
      const Choice choice{&token, std::min(before, after)};
      const auto [at, fresh] = chosen.emplace(token.index, choice);
      if (!fresh && choice.distance > at->second.distance) at->second = choice;
    }
  }
  std::vector<TokenScores> all;
  for (const auto& [index, choice] : chosen) all.push_back(*choice.token);
  return all;
}

// Of entities that overlap, the longest, of equally long ones that with the highest score. As in transformers' pipeline,
// an entity is compared with the one that was kept last.
std::vector<Entity> without_overlaps(std::vector<Entity> all) {
  std::ranges::stable_sort(all, {}, &Entity::begin);
  const auto length = [](const Entity& e) { return e.end - e.begin; };
  std::vector<Entity> kept;
  for (Entity& e : all) {
    const bool apart =
        kept.empty() || (e.begin >= kept.back().end &&
                         std::pair(e.begin, e.end) != std::pair(kept.back().begin, kept.back().end));
    if (apart)
      kept.push_back(std::move(e));
    else if (std::pair(length(e), e.score) > std::pair(length(kept.back()), kept.back().score))
      kept.back() = std::move(e);
  }
  return kept;
}

// The entities of a window.
std::vector<Entity> joined_entities(std::span<const TokenScores> tokens, std::span<const std::string> labels,
                                    Aggregation aggregation) {
  const Tags tags(labels);
  std::vector<Entity> found;
  double sum = 0;  // of the scores of the last entity's pieces, for their mean
  int pieces_in = 0;
  std::optional<Tag> last;  // of the previous piece, if its entity may continue
  for (const Piece& piece : pieces(tokens, labels, aggregation)) {
    const Tag tag = tags.parse(piece.tag);
    if (tag.outside) {
      last.reset();
      continue;
    }
    const bool joins =
        aggregation != Aggregation::none && last && last->type == tag.type && !tag.begins && !last->ends;
    if (joins) {
      sum += piece.score;
      ++pieces_in;
      found.back().end = piece.end;
    } else {
      sum = piece.score;
      pieces_in = 1;
      found.push_back({aggregation == Aggregation::none ? piece.tag : tag.type, 0, piece.begin, piece.end});
    }
    found.back().score = static_cast<float>(sum / pieces_in);
    last = tag;
  }
  return found;
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
  if (tokens.empty() || first_window(tokens).size() == tokens.size())
    return joined_entities(tokens, labels, aggregation);
  if (aggregation == Aggregation::none) return joined_entities(each_once(tokens), labels, aggregation);
  std::vector<Entity> all;
  for (auto rest = tokens; !rest.empty(); rest = rest.subspan(first_window(rest).size()))
    std::ranges::move(joined_entities(first_window(rest), labels, aggregation), std::back_inserter(all));
  return without_overlaps(std::move(all));
}

}  // namespace mlxe
