// How far a conversion moves sentence vectors, measured by how far the vectors of different texts lie from
// one another: VectorSpace (mlx_encoder/difference.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "mlx_encoder/difference.h"

namespace mlxe {

// The k of a set of texts: a tenth of the others, at least 1 and at most 10. Neighbours picked at random
// would be kept with probability k / (texts - 1): at most a tenth from 11 texts on.
int64_t neighbours_of(int64_t texts);

// The mean cosine between each two of the rows added. A row of zeros has a cosine of 0 to every other.
class MeanCosine {
 public:
  void add(std::span<const float> row);
  int64_t rows() const { return rows_; }
  double value() const;  // of two rows and more; else 1
  // (1 - cosine) / (1 - value()), where `cosine` is the mean cosine of the rows to their quantized twins.
  double relative_error(double cosine) const;

 private:
  std::vector<double> sum_;  // of the rows at unit length
  double squares_ = 0;       // of their lengths: 1 each, 0 of a row of zeros
  int64_t rows_ = 0;
};

// Gathers VectorSpace, a text at a time. Memory: the vectors of at most kComparedTexts texts, both sides.
class VectorSpaceMeter {
 public:
  // Of more texts, so many take part in the search for neighbours, spread evenly over all.
  static constexpr size_t kComparedTexts = 4096;

  // different: indices of the sequences of different texts, ascending. most: of them to look for neighbours
  // among.
  explicit VectorSpaceMeter(std::span<const size_t> different, size_t most = kComparedTexts);

  // The vectors of sequence `index`, in any order. Passes over sequences that are not in `different`.
  void add(size_t index, std::span<const float> original, std::span<const float> quantized);
  // cosine: mean over all texts, of the original's vectors with the quantized side's. Needs every sequence in
  // `different`. None with fewer than three of them. threads 0: all cores.
  std::optional<VectorSpace> result(double cosine, int threads) const;

 private:
  double kept(int64_t k, int threads) const;

  std::vector<size_t> different_, compared_;  // sequences, ascending
  MeanCosine mean_;
  std::vector<float> units_[2];  // of each side, the compared texts' vectors at unit length, a row each
  size_t columns_ = 0;
};

}  // namespace mlxe
