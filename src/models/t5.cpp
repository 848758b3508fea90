#include "models/t5.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <string>
#include <utility>

#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "models/plan_builder.h"

namespace mlxe {
namespace {

// "relu", or "gated-gelu", whose GELU is approximated. Newer files state both parts again.
void read_feed_forward(const Config& c, T5Config& config) {
  constexpr std::string_view kGated = "gated-";
  const std::string kind = c.get_or<std::string>("feed_forward_proj", "relu");
  config.gated = kind.starts_with(kGated);
  std::string activation = config.gated ? kind.substr(kGated.size()) : kind;
  if (kind == "gated-gelu") activation = "gelu_new";
  const char* key = c.has("dense_act_fn") ? "dense_act_fn" : "feed_forward_proj";
  config.activation = parse_activation(c.get_or<std::string>("dense_act_fn", activation),
                                       fmt::format("{}: \"{}\"", c.where(), key));
  config.gated = c.get_or<bool>("is_gated_act", config.gated);
}

}  // namespace

T5Config read_t5_config(const Config& c) {
  // Of the decoder, of training, and how long the texts were that the model was trained on.
  c.harmless({"is_encoder_decoder", "num_decoder_layers", "dropout_rate", "n_positions"});
  const RelativeBias bias{.buckets = c.positive_or("relative_attention_num_buckets", 32),
                          .max_distance = c.positive_or("relative_attention_max_distance", 128)};
  if (bias.buckets < 4 || bias.max_distance <= bias.buckets / 4)
    throw Error(
        ErrorCode::format,
        fmt::format("{}: \"relative_attention_num_buckets\" is {} and \"relative_attention_max_distance\" "
                    "{}, expected four buckets or more, and a distance above a quarter of them",
                    c.where(), bias.buckets, bias.max_distance));
  T5Config config{.vocab_size = c.positive_or("vocab_size", 32128),
                  .width = c.positive("d_model"),
                  .feed_forward_width = c.positive("d_ff"),
                  .layers = c.positive("num_layers"),
                  .head_size = c.positive_or("d_kv", 64),
                  .attention = {.heads = c.positive("num_heads"), .relative_bias = bias, .scale = 1.0f},
                  .norm_epsilon = static_cast<float>(c.non_negative_number_or("layer_norm_epsilon", 1e-6)),
                  .activation = Activation::identity,
                  .gated = false};
  read_feed_forward(c, config);
  return config;
}

Plan t5(const T5Config& c) {
  PlanBuilder p;
  const int words = p.table(kT5Words, c.vocab_size, c.width);
  ValueId x = p.lookup(std::array{std::pair(words, RowIndex::ids)});
  p.end_layer(x);
  const std::array<std::string, 3> qkv{"SelfAttention.q", "SelfAttention.k", "SelfAttention.v"};
  const int64_t inner = c.attention.heads * c.head_size;
  int distances = 0;  // the first layer has the table of all
  for (int64_t i = 0; i < c.layers; ++i) {
    const std::string layer = "encoder.block." + std::to_string(i) + ".layer.";
    p.scope(layer + "0.");
    if (i == 0)
      distances = p.table("SelfAttention.relative_attention_bias", c.attention.relative_bias->buckets,
                          c.attention.heads, Role::relative_bias);
    const ValueId in = p.rms_norm("layer_norm", x, c.norm_epsilon);
    const ValueId attended =
        p.attention("SelfAttention", p.multi_linear(qkv, in, inner, Bias::no), c.attention, distances);
    const ValueId a = p.add("SelfAttention", p.linear("SelfAttention.o", attended, c.width, Bias::no), x);
    p.scope(layer + "1.");
    const ValueId n = p.rms_norm("layer_norm", a, c.norm_epsilon);
    const ValueId f =
        c.gated ? p.gated_feed_forward("DenseReluDense.wi_0", "DenseReluDense.wi_1", "DenseReluDense.wo", n,
                                       c.feed_forward_width, c.activation, Bias::no)
                : p.feed_forward("DenseReluDense.wi", "DenseReluDense.wo", n, c.feed_forward_width,
                                 c.activation, Bias::no);
    x = p.add("DenseReluDense", f, a);
    if (i + 1 == c.layers) {
      p.scope("encoder.");
      x = p.rms_norm("final_layer_norm", x, c.norm_epsilon);
    }
    p.end_layer(x);
  }
  Plan plan = p.finish();
  plan.max_tokens = std::numeric_limits<int32_t>::max();
  return plan;
}

Model make_t5(const Config& c) {
  return {.plan = t5(read_t5_config(c))};
}

}  // namespace mlxe
