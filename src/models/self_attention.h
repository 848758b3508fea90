// The part of a layer that all architectures share: q, k, v of one input, and what of it the layer keeps.
#pragma once

#include <array>

#include "models/ops.h"

namespace mlxe {

// Which rows a layer returns: every token, or the first token of each text.
enum class Kept { all, first };

template <EncoderOps E>
struct Attended {
  typename E::Tensor values;    // attention's result
  typename E::Tensor residual;  // the same rows of x
};

template <EncoderOps E>
Attended<E> self_attention(E& e, const typename E::Tensor& x, const std::array<Linear, 3>& qkv,
                           AttentionSpec spec, const Batch& batch, Kept kept) {
  if (kept == Kept::all) return {e.attention(e.linears(x, qkv), spec, batch), x};
  typename E::Tensor first = e.take(x, batch.first_rows());
  std::vector<typename E::Tensor> all{e.linear(first, qkv[0])};
  for (typename E::Tensor& t : e.linears(x, std::span(qkv).last(2))) all.push_back(std::move(t));
  return {e.attention(all, spec, batch), std::move(first)};
}

}  // namespace mlxe
