// How far a conversion moves sentence vectors, relative to the distance between vectors of different texts: VectorSpace
// (mlx_encoder/difference.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "mlx_encoder/difference.h"

namespace mlxe {

// k for a set of texts: a tenth of the other texts, at least 1 and at most 10. Random neighbours would be kept with
// probability k / (texts - 1): at most 0.1 from 11 texts on.
int64_t neighbours_of(int64_t texts);

// The mean cosine over all pairs of added rows. A row of zeros has cosine 0 to every other row.
class MeanCosine {
 public:
  void add(std::span<const float> row);
  int64_t rows() const { return rows_; }
  double value() const;  // 1 with fewer than two rows
  // (1 - cosine) / (1 - value()), where `cosine` is the mean cosine of the rows to their quantized twins.
  double relative_error(double cosine) const;

 private:
  std::vector<double> sum_;  // of the rows at unit length
  double squares_ = 0;       // of their lengths: 1 each, 0 of a row of zeros
  int64_t rows_ = 0;
};

// Computes VectorSpace, a text at a time. Memory: the vectors of at most kComparedTexts texts, both sides.
class VectorSpaceMeter {
 public:
  // Largest number of texts in the search for neighbours. Of more texts, so many are taken, spread evenly.
  static constexpr size_t kComparedTexts = 4096;

  // different: indices of the sequences of different texts, ascending. most: number of them in the search for
  // neighbours.
  explicit VectorSpaceMeter(std::span<const size_t> different, size_t most = kComparedTexts);

  // Adds the vectors of sequence `index`, in any order. Ignores sequences that are not in `different`.
  void add(size_t index, std::span<const float> original, std::span<const float> quantized);
  // cosine: mean cosine between the original's and the quantized side's vectors, over all texts. All sequences of
  // `different` must have been added. None with fewer than three of them. threads 0: all cores.
  std::optional<VectorSpace> result(double cosine, int threads) const;

 private:
  double kept(int64_t k, int threads) const;

  std::vector<size_t> different_, compared_;  // sequences, ascending
  MeanCosine mean_;
  std::vector<float> units_[2];  // of each side, the compared texts' vectors at unit length, a row each
  size_t columns_ = 0;
};

}  // namespace mlxe
