// The layer of BERT and its relatives: attention, then a feed-forward, each added to its input and normalized.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "models/plan_builder.h"

namespace mlxe {

// Of its modules in the checkpoint, without the layer's prefix.
struct PostNormNames {
  std::array<std::string, 3> query_key_value;
  std::string attention;  // what errors and the plan call the attention itself
  std::string attention_out, attention_norm, up, down, norm;
};

struct PostNormSizes {
  int64_t intermediate_size;
  Activation activation;
  float layer_norm_epsilon;
};

// Records what follows the attention. `attended`: the attention's output; x: the layer's input. Returns the layer's
// output, as wide as x.
inline ValueId after_attention(PlanBuilder& p, const PostNormNames& names, const PostNormSizes& sizes,
                               ValueId attended, ValueId x) {
  const auto add_norm = [&](const std::string& name, ValueId y, ValueId residual) {
    return p.layer_norm(name, p.add(name, y, residual), sizes.layer_norm_epsilon);
  };
  const ValueId a = add_norm(names.attention_norm, p.linear(names.attention_out, attended, p.columns(x)), x);
  const ValueId f = p.feed_forward(names.up, names.down, a, sizes.intermediate_size, sizes.activation);
  return add_norm(names.norm, f, a);
}

// Records the layer under the builder's scope. Returns its output, as wide as x. The caller ends the layer.
// `bias_table`: of attention.relative_bias.
inline ValueId post_norm_layer(PlanBuilder& p, const PostNormNames& names, const PostNormSizes& sizes,
                               ValueId x, int64_t width, const AttentionSpec& attention,
                               std::optional<int> bias_table = {}) {
  const ValueId attended =
      p.attention(names.attention, p.multi_linear(names.query_key_value, x, width), attention, bias_table);
  return after_attention(p, names, sizes, attended, x);
}

}  // namespace mlxe
