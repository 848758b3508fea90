// Finds labelled spans in sequences of tags ("B-person", "I-person", "O") and compares predicted with gold spans, by
// seqeval's rules.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "metrics/resampling.h"
#include "mlx_encoder/scoring.h"

namespace mlxe {

struct TagSpan {
  std::string type;
  int64_t first = 0, end = 0;  // tags [first, end)
  auto operator<=>(const TagSpan&) const = default;
};

// Spans in order. Errors: format (a strict scheme, and a tag with another prefix; names the tag).
std::vector<TagSpan> tag_spans(std::span<const std::string> tags, Tagging tagging);

struct SpanScores {
  double precision = 0, recall = 0, f1 = 0;
};
struct SpanCount {
  int64_t right = 0, predicted = 0, gold = 0;
  SpanScores scores() const;  // each 0 if it would divide by 0
};

// A span is correct if type, begin and end are. Gold and predicted sentences have the same lengths.
class SpanComparison {
 public:
  using Sentences = std::vector<std::vector<std::string>>;
  SpanComparison(const Sentences& gold, const Sentences& predicted, Tagging tagging);

  // Sentence i counts counts[i] times. Includes the types that occur in gold or predictions.
  std::map<std::string, SpanCount> count(Counts counts) const;
  SpanScores micro(Counts counts) const;     // over all spans; seqeval's default average
  SpanScores macro(Counts counts) const;     // mean over types
  SpanScores weighted(Counts counts) const;  // the same, weighted by the gold spans of each

 private:
  struct OfSentence {
    size_t sentence = 0;
    std::string type;
    SpanCount count;
  };
  std::vector<OfSentence> found_;
};

}  // namespace mlxe
