// How far a converted model's results are from the original's. Everything is float64.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mlxe {

// The difference between one matrix of results and the original's, over all rows compared.
struct Difference {
  int64_t rows = 0, columns = 0;
  struct {
    double mean = 1, p1 = 1, min = 1;  // p1: 1st percentile, interpolated as numpy.percentile does
    int64_t worst = 0;                 // the text that has the cosine `min`
  } cosine;                            // of two rows of zeros: 1; of a row of zeros and another row: 0
  double mse = 0;                      // mean over all elements of (original - quantized)^2
  double max_abs = 0;                  // largest |original - quantized|
  double relative_max = 0;             // max_abs / largest |original|
};

struct NamedDifference {
  std::string name;
  Difference difference;
};

// How far sentence vectors moved, relative to the distance between vectors of different texts. A cosine to
// the original ignores that distance: if all vectors of a model lie close together, the cosine is high
// whatever was lost. "Different" texts have different token ids.
struct VectorSpace {
  int64_t texts = 0;           // number of different texts
  double mean_cosine = 0;      // mean over all pairs of different texts, original's vectors
  double relative_error = 0;   // (1 - mean cosine to the original) / (1 - mean_cosine); infinity if the
                               // original's vectors are all equal and the others are not
  int64_t compared = 0;        // texts among which neighbours are searched: all, or 4,096 spread evenly
  int64_t neighbours = 0;      // k: a tenth of the other texts, at least 1 and at most 10
  double neighbours_kept = 1;  // share of the original's k nearest texts (by cosine) that are still nearest
};

// A text, or a token of a text, whose predicted label changed.
struct Flip {
  int64_t text = 0;      // index into CompareInput::texts
  int64_t sequence = 0;  // index of the sequence that was run
  int64_t token = -1;    // index of the token in the sequence; -1: the whole text
  std::string original, quantized;
  double margin = 0;    // the original's, see LabelDifference
  std::string content;  // the text, or both texts of a pair; for a token classifier "token: text"
};

// How many texts (tokens) changed from one label to another.
struct LabelMove {
  std::string original, quantized;
  int64_t texts = 0;
};

// Changes of a classifier's labels. The margin of a text is the certainty of the original's decision: best
// minus second-best probability. With independent labels (multi-label) it is twice the smallest distance of
// a probability from 0.5. For a token classifier, read "token" for "text".
struct LabelDifference {
  bool by_token = false;
  double kl = 0;  // mean over texts of KL(original || quantized), nats; summed over labels when multi-label
  int64_t texts = 0, flips = 0;
  double margin_original = 0, margin_quantized = 0, margin_flipped = 0;  // means
  std::vector<Flip> listed;                                              // those of the largest margin first
  std::vector<LabelMove> moves;                                          // all flips, the most frequent first

  const char* unit() const noexcept { return by_token ? "tokens" : "texts"; }
};

// The two-sample Kolmogorov-Smirnov test: whether outputs have the same distribution as the original's. The
// p-value is that of independent samples. These samples are pairs, so p errs towards 1, and a small p is
// certain.
struct Drift {
  // "similarities"  cosine of each two consecutive texts' vectors
  // "confidences"   of a classifier: the largest probability of each text (token)
  // "values"        at most 16 output values of each text
  std::string sample;
  double statistic = 0, p = 1;
  std::vector<double> original, quantized;  // as many each
};

// A task metric over the given gold labels or scores: "accuracy", "macro_f1", "spearman", "pearson".
struct TaskScore {
  std::string metric;
  double original = 0, quantized = 0;
};

}  // namespace mlxe
