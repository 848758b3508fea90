// Converts tokens with scores to entities.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

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

}  // namespace mlxe
