// How answers are scored: which tags form a span, and how certain a difference of two scores is.
#pragma once

#include <cstdint>
#include <string_view>

namespace mlxe {

// How tags of words ("B-person", "I-person", "O") form spans; seqeval's rules.
enum class Tagging {
  // seqeval's default: any scheme below, mixed or broken ones too (an I without a B begins a span). Beyond
  // seqeval, L and U are read as E and S, and a type without a prefix ("ORG") is inside a span of that type.
  lenient,
  iob1,  // all others: seqeval's mode="strict"; tags the scheme does not allow begin or end no span
  iob2,
  bioes,
  bilou,
};
Tagging parse_tagging(std::string_view spelling);  // "lenient", "IOB1", ..., case ignored; throws usage

struct BootstrapOptions {
  int64_t resamples = 10000;
  double confidence = 0.95;
  uint64_t seed = 1;
};

struct Interval {
  double low = 0, high = 0;
};

// McNemar's test: whether two classifiers are right equally often on the same items. Counts the items that
// only one side has right.
struct McNemar {
  int64_t only_original = 0, only_evaluated = 0;
  double p = 1;
  bool exact = true;  // binomial; false: chi-square with continuity correction (from 25 such items on)
};

}  // namespace mlxe
