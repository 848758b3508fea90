#include "metrics/span_scores.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "base/text.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr char kNoPrefix = '?';

struct Tag {
  char prefix = 'O';
  std::string type = "_";
};

bool one_of(char c, std::string_view set) {
  return set.find(c) != std::string_view::npos;
}

// A tag is a prefix, a dash and a type; or a type alone ("ORG"), which is inside a span of it; or a prefix alone.
// In BILOU, L and U are what E and S are in BIOES; the lenient reading takes them, too.
Tag parse(const std::string& text, Tagging tagging) {
  if (text.empty() || text == "O") return {};
  const bool has_prefix = text.size() == 1 || (text[1] == '-' && one_of(text[0], "BIESLU"));
  if (!has_prefix) return {.prefix = tagging == Tagging::lenient ? 'I' : kNoPrefix, .type = text};
  Tag tag{.prefix = text[0], .type = text.size() > 2 ? text.substr(2) : "_"};
  if (tagging == Tagging::lenient || tagging == Tagging::bilou)
    tag.prefix = tag.prefix == 'L' ? 'E' : tag.prefix == 'U' ? 'S' : tag.prefix;
  return tag;
}

// Does a span end before `tag`, does one begin at it: conlleval's rules.
bool lenient_end(const Tag& before, const Tag& tag) {
  if (one_of(before.prefix, "ES")) return true;
  if (one_of(before.prefix, "BI") && one_of(tag.prefix, "BSO")) return true;
  return !one_of(before.prefix, "O.") && before.type != tag.type;
}

bool lenient_start(const Tag& before, const Tag& tag) {
  if (one_of(tag.prefix, "BS")) return true;
  if (one_of(before.prefix, "ESO") && one_of(tag.prefix, "EI")) return true;
  return !one_of(tag.prefix, "O.") && before.type != tag.type;
}

std::vector<TagSpan> lenient_spans(std::span<const Tag> tags) {
  std::vector<TagSpan> spans;
  Tag before{.prefix = 'O', .type = ""};
  int64_t first = 0;
  for (size_t i = 0; i <= tags.size(); ++i) {
    const Tag tag = i < tags.size() ? tags[i] : Tag{};
    const auto at = static_cast<int64_t>(i);
    if (lenient_end(before, tag)) spans.push_back({before.type, first, at});
    if (lenient_start(before, tag)) first = at;
    before = tag;
  }
  return spans;
}

// A strict scheme, by a tag and the one before it.
struct Scheme {
  std::string_view name, prefixes;  // as parse() gives them
  bool (*starts)(const Tag& before, const Tag& tag);
  bool (*continues)(const Tag& before, const Tag& tag);
  bool (*closed)(const Tag& last, const Tag& next);  // may a span end between these?
};

bool inside(const Tag& before, const Tag& tag, std::string_view inner) {
  return one_of(before.prefix, "BI") && one_of(tag.prefix, inner) && before.type == tag.type;
}

const Scheme& scheme(Tagging tagging) {
  static const Scheme iob1{"IOB1", "IOB",
                           [](const Tag& before, const Tag& tag) {
                             const bool same = before.type == tag.type;
                             if (tag.prefix == 'B') return one_of(before.prefix, "IB") && same;
                             return tag.prefix == 'I' && (before.prefix != 'I' || !same);
                           },
                           [](const Tag& before, const Tag& tag) { return inside(before, tag, "I"); },
                           [](const Tag& last, const Tag& next) {
                             return last.prefix != 'B' || next.prefix != 'B' || last.type == next.type;
                           }};
  static const Scheme iob2{"IOB2", "IOB", [](const Tag&, const Tag& tag) { return tag.prefix == 'B'; },
                           [](const Tag& before, const Tag& tag) { return inside(before, tag, "I"); },
                           [](const Tag&, const Tag&) { return true; }};
  static const Scheme bioes{"BIOES", "IOBES",
                            [](const Tag&, const Tag& tag) { return one_of(tag.prefix, "BS"); },
                            [](const Tag& before, const Tag& tag) { return inside(before, tag, "IE"); },
                            [](const Tag& last, const Tag&) { return one_of(last.prefix, "ES"); }};
  static const Scheme bilou{"BILOU", bioes.prefixes, bioes.starts, bioes.continues, bioes.closed};
  switch (tagging) {
    case Tagging::iob1:
      return iob1;
    case Tagging::iob2:
      return iob2;
    case Tagging::bilou:
      return bilou;
    default:
      return bioes;
  }
}

std::vector<TagSpan> strict_spans(std::span<const Tag> tags, const Scheme& s) {
  std::vector<TagSpan> spans;
  const auto at = [&](size_t i) { return i < tags.size() ? tags[i] : Tag{}; };
  Tag before;
  for (size_t i = 0; i < tags.size();) {
    size_t end = i + 1;
    if (s.starts(before, tags[i])) {
      while (s.continues(at(end - 1), at(end))) ++end;
      if (s.closed(at(end - 1), at(end)))
        spans.push_back({tags[i].type, static_cast<int64_t>(i), static_cast<int64_t>(end)});
    }
    before = tags[end - 1];
    i = end;
  }
  return spans;
}

SpanScores mean(const std::map<std::string, SpanCount>& counts, const auto& weight) {
  SpanScores sum;
  double total = 0;
  for (const auto& [type, count] : counts) {
    const double w = weight(count);
    const SpanScores s = count.scores();
    sum = {sum.precision + w * s.precision, sum.recall + w * s.recall, sum.f1 + w * s.f1};
    total += w;
  }
  if (total == 0) return {};
  return {sum.precision / total, sum.recall / total, sum.f1 / total};
}

}  // namespace

Tagging parse_tagging(std::string_view spelling) {
  const std::string text = lowercase(spelling);
  if (text == "lenient") return Tagging::lenient;
  if (text == "iob1") return Tagging::iob1;
  if (text == "iob2") return Tagging::iob2;
  if (text == "bioes") return Tagging::bioes;
  if (text == "bilou") return Tagging::bilou;
  throw Error(
      ErrorCode::usage,
      fmt::format("the tagging \"{}\" is unknown; expected lenient, IOB1, IOB2, BIOES or BILOU", spelling));
}

std::vector<TagSpan> tag_spans(std::span<const std::string> tags, Tagging tagging) {
  std::vector<Tag> parsed;
  for (const std::string& text : tags) {
    parsed.push_back(parse(text, tagging));
    const bool is_bilou = tagging == Tagging::bilou;
    const bool of_bioes = is_bilou && !text.empty() && one_of(text[0], "ES");
    if (tagging != Tagging::lenient && (of_bioes || !one_of(parsed.back().prefix, scheme(tagging).prefixes)))
      throw Error(ErrorCode::format,
                  fmt::format("the tag \"{}\": {} has tags of {} only", text, scheme(tagging).name,
                              is_bilou ? "BILOU" : scheme(tagging).prefixes));
  }
  return tagging == Tagging::lenient ? lenient_spans(parsed) : strict_spans(parsed, scheme(tagging));
}

SpanScores SpanCount::scores() const {
  const auto ratio = [](int64_t part, int64_t whole) {
    return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
  };
  return {ratio(right, predicted), ratio(right, gold), ratio(2 * right, predicted + gold)};
}

SpanComparison::SpanComparison(const Sentences& gold, const Sentences& predicted, Tagging tagging) {
  if (gold.size() != predicted.size())
    throw Error(ErrorCode::internal, "span scores: expected as many predicted sentences as gold ones");
  for (size_t i = 0; i < gold.size(); ++i) {
    if (gold[i].size() != predicted[i].size())
      throw Error(ErrorCode::internal, "span scores: a sentence has other tags than words");
    std::map<std::string, SpanCount> types;
    std::set<TagSpan> right;
    for (const TagSpan& s : tag_spans(gold[i], tagging)) {
      ++types[s.type].gold;
      right.insert(s);
    }
    for (const TagSpan& s : tag_spans(predicted[i], tagging)) {
      ++types[s.type].predicted;
      types[s.type].right += right.contains(s);
    }
    for (const auto& [type, count] : types) found_.push_back({i, type, count});
  }
}

std::map<std::string, SpanCount> SpanComparison::count(Counts counts) const {
  std::map<std::string, SpanCount> all;
  for (const OfSentence& f : found_) {
    const int64_t times = counts[f.sentence];
    if (times == 0) continue;
    SpanCount& c = all[f.type];
    c.right += times * f.count.right;
    c.predicted += times * f.count.predicted;
    c.gold += times * f.count.gold;
  }
  return all;
}

SpanScores SpanComparison::micro(Counts counts) const {
  SpanCount all;
  for (const auto& [type, c] : count(counts)) {
    all.right += c.right;
    all.predicted += c.predicted;
    all.gold += c.gold;
  }
  return all.scores();
}

SpanScores SpanComparison::macro(Counts counts) const {
  return mean(count(counts), [](const SpanCount&) { return 1.0; });
}

SpanScores SpanComparison::weighted(Counts counts) const {
  return mean(count(counts), [](const SpanCount& c) { return static_cast<double>(c.gold); });
}

}  // namespace mlxe
