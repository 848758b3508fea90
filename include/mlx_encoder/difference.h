// How far a converted model's results are from the original's. Everything is float64.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mlxe {

// How far the rows of one matrix are from those of the original's, over every row compared.
struct Difference {
  int64_t rows = 0, columns = 0;
  struct {
    double mean = 1, p1 = 1, min = 1;  // p1: 1st percentile, interpolated as numpy.percentile does
    int64_t worst = 0;                 // the text `min` was found in
  } cosine;                 // a row of zeros against one of zeros counts as 1, against another as 0
  double mse = 0;           // mean over all elements of (original - quantized)^2
  double max_abs = 0;       // largest |original - quantized|
  double relative_max = 0;  // max_abs / largest |original|
};

struct NamedDifference {
  std::string name;
  Difference difference;
};

// How far sentence vectors moved, measured by how far the vectors of different texts lie from one another. An
// absolute cosine does not know that: where all vectors lie close together, each is close to its twin
// whatever was lost. "Different" texts have different token ids.
struct VectorSpace {
  int64_t texts = 0;           // different ones
  double mean_cosine = 0;      // between the original's vectors of each two of them
  double relative_error = 0;   // (1 - mean cosine to the original) / (1 - mean_cosine); infinity where the
                               // original's vectors are all one and the others are not
  int64_t compared = 0;        // texts among which neighbours were looked for: all, or 4,096 spread evenly
  int64_t neighbours = 0;      // k: a tenth of the other texts, at least 1 and at most 10
  double neighbours_kept = 1;  // share of the k nearest texts (by cosine) that are still among them
};

// A text whose predicted label changed, or a token of it.
struct Flip {
  int64_t text = 0;      // index into CompareInput::texts
  int64_t sequence = 0;  // of those run
  int64_t token = -1;    // of the sequence; -1: the text as a whole
  std::string original, quantized;
  double margin = 0;    // the original's, see LabelDifference
  std::string content;  // the text, of a pair both; of a token classifier "token: text"
};

// How many texts (tokens) went from one label to another.
struct LabelMove {
  std::string original, quantized;
  int64_t texts = 0;
};

// Of a classifier. The margin of a text is what the original's decision stands on: best minus second-best
// probability; with one probability a label (multi-label) the smallest distance of any from 0.5, doubled.
// Of a token classifier every token the model sees stands where a text stands here.
struct LabelDifference {
  bool by_token = false;
  double kl = 0;  // mean over texts of KL(original || quantized), nats; summed over labels when multi-label
  int64_t texts = 0, flips = 0;
  double margin_original = 0, margin_quantized = 0, margin_flipped = 0;  // means
  std::vector<Flip> listed;                                              // those of the largest margin first
  std::vector<LabelMove> moves;                                          // all flips, the most frequent first

  const char* unit() const noexcept { return by_token ? "tokens" : "texts"; }
};

// Whether what users see is distributed as the original's: the two-sample Kolmogorov-Smirnov test. Its
// p-value is that of independent samples; these are pairs, so it errs towards 1 and a small one is certain.
struct Drift {
  // "similarities": cosine of the vectors of each two texts that follow one another; of a classifier
  // "confidences": the largest probability of each text (token); "values": at most 16 output values of each
  // text
  std::string sample;
  double statistic = 0, p = 1;
  std::vector<double> original, quantized;  // as many each
};

// A task metric against the gold labels or scores given: "accuracy", "macro_f1", "spearman", "pearson".
struct TaskScore {
  std::string metric;
  double original = 0, quantized = 0;
};

}  // namespace mlxe
