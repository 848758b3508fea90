// The weights of texts' terms (TermWeighting in format/pooling_kind.h).
//
// A unit of work is some columns of the products, for all tokens. It has the products of one block of rows at a time,
// and adds them to their texts' results: no matrix of all tokens by all terms exists. A text's tokens are added in
// order, so a result depends on its own text only.
#include <algorithm>
#include <cmath>

#include "engine_cpu/ops.h"

namespace mlxe::cpu {
namespace {

constexpr int64_t kTermRows = 256;
constexpr int64_t kPackedTerms = 64;  // columns of a unit: whole panels of packed weights

// In place. NaN stays.
void weigh_terms(float* logits, int64_t n, bool twice) {
  for (int64_t i = 0; i < n; ++i) {
    float& x = logits[i];
    if (x > 0)
      x = twice ? std::log1p(std::log1p(x)) : std::log1p(x);
    else if (!std::isnan(x))
      x = 0;
  }
}

}  // namespace

static_assert(kPackedTerms % kInt8Panel == 0 && kPackedTerms % kBf16Panel == 0);

Tensor CpuOps::term_weights(const Tensor& x, const Linear& l, TermWeighting weighting, const Batch& batch) {
  const bool is_packed = packed(l) != nullptr;
  const Weight& w = matrix(l.weight, l.rows(), l.in);
  const Tensor operand = is_packed ? quantize_activations(x) : x;
  const PackedLinear resolved = is_packed ? resolve(l) : PackedLinear{};
  const float* bias = bias_of(l);
  const bool is_sum = weighting.pooling == TermPooling::sum;
  const int64_t width = is_packed ? kPackedTerms : kernels_.panel;
  const int64_t decoding = is_packed ? 0 : float_block_floats();
  Tensor y = workspace_.arena.tensor(batch.texts(), l.out);
  loop((l.out + width - 1) / width, [&](int64_t unit, int slot) {
    const int64_t first_column = unit * width, columns = std::min(width, l.out - first_column);
    float* memory = scratch(slot, decoding + kTermRows * width);
    float* products = memory + decoding;
    int64_t text = -1;
    for (int64_t first = 0; first < x.rows(); first += kTermRows) {
      const Block block{first, std::min(kTermRows, x.rows() - first), first_column, columns};
      if (is_packed)
        packed_block(operand, resolved, block, products, width, slot);
      else
        float_block(x, w, l.first_row, bias, block, products, width, memory);
      for (int64_t m = 0; m < block.rows; ++m) {
        float* row = products + m * width;
        if (is_sum) weigh_terms(row, columns, weighting.twice);
        const bool begins = first + m == batch.offsets[static_cast<size_t>(text + 1)];
        if (begins) ++text;
        float* result = y.row(text) + first_column;
        if (begins)
          std::copy_n(row, columns, result);
        else if (is_sum)
          kernels_.add(result, row, columns, result);
        else
          kernels_.max_into(row, columns, result);
      }
    }
    // The weight of the largest logit is the largest weight.
    for (int64_t b = 0; !is_sum && b < y.rows(); ++b)
      weigh_terms(y.row(b) + first_column, columns, weighting.twice);
  });
  return y;
}

}  // namespace mlxe::cpu
