#include "models/eurobert.h"

#include <fmt/format.h>

#include <array>
#include <string>

#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "models/config_readers.h"
#include "models/plan_builder.h"

namespace mlxe {

EuroBertConfig read_eurobert_config(const Config& c) {
  const int64_t hidden = c.positive("hidden_size"), heads = c.positive("num_attention_heads"),
                kv_heads = c.positive_or("num_key_value_heads", heads);
  if (hidden % heads != 0 || heads % kv_heads != 0)
    throw Error(
        ErrorCode::format,
        fmt::format("{}: {} heads do not divide \"hidden_size\" {}, or \"num_key_value_heads\" {} does "
                    "not divide them",
                    c.where(), heads, hidden, kv_heads));
  const int64_t head_size = c.positive_or("head_dim", hidden / heads);
  if (head_size % 2 != 0)
    throw Error(ErrorCode::format,
                fmt::format("{}: heads have {} columns, expected an even number", c.where(), head_size));
  return {.vocab_size = c.positive("vocab_size"),
          .hidden_size = hidden,
          .intermediate_size = c.positive("intermediate_size"),
          .max_positions = c.positive("max_position_embeddings"),
          .layers = c.positive("num_hidden_layers"),
          .head_size = head_size,
          .attention = {.heads = heads, .kv_heads = kv_heads, .rotary = Rotary{plain_rotary_base(c)}},
          .norm_epsilon = static_cast<float>(c.non_negative_number_or("rms_norm_eps", 1e-5)),
          .activation =
              parse_activation(c.get_or<std::string>("hidden_act", "silu"), c.where() + ": \"hidden_act\""),
          .attention_bias = bias_if(c, "attention_bias"),
          .mlp_bias = bias_if(c, "mlp_bias")};
}

Plan eurobert(const EuroBertConfig& c) {
  PlanBuilder p;
  const int words = p.table("embed_tokens", c.vocab_size, c.hidden_size);
  ValueId x = p.lookup(std::array{std::pair(words, RowIndex::ids)});
  p.end_layer(x);
  const std::array<std::string, 3> qkv{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"};
  const int64_t width = c.attention.heads * c.head_size, kv_width = width / c.attention.group();
  const std::array widths{width, kv_width, kv_width};
  for (int64_t i = 0; i < c.layers; ++i) {
    p.scope("layers." + std::to_string(i) + ".");
    const ValueId in = p.rms_norm("input_layernorm", x, c.norm_epsilon);
    const ValueId attended =
        p.attention("self_attn", p.multi_linear(qkv, in, widths, c.attention_bias), c.attention);
    const ValueId a =
        p.add("self_attn", p.linear("self_attn.o_proj", attended, c.hidden_size, c.attention_bias), x);
    const ValueId f = p.gated_feed_forward("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
                                           p.rms_norm("post_attention_layernorm", a, c.norm_epsilon),
                                           c.intermediate_size, c.activation, c.mlp_bias);
    x = p.add("mlp", f, a);
    if (i + 1 == c.layers) {
      p.scope("");
      x = p.rms_norm("norm", x, c.norm_epsilon);
    }
    p.end_layer(x);
  }
  Plan plan = p.finish();
  plan.max_tokens = c.max_positions;
  return plan;
}

Model make_eurobert(const Config& c) {
  require_own_code(c, {"EuroBert"});
  c.harmless({"pretraining_tp", "hidden_dropout"});                   // of training
  c.harmless({"bos_token", "eos_token", "mask_token", "pad_token"});  // of the tokenizer
  c.harmless({"classifier_pooling", "clf_pooling"});                  // read by the head
  return {.plan = eurobert(read_eurobert_config(c))};
}

SequenceClassifier eurobert_classifier(const Config& c) {
  const std::string pooling = c.get_or<std::string>(either(c, "classifier_pooling", "clf_pooling"), "late");
  if (pooling != "bos" && pooling != "mean" && pooling != "late")
    throw Error(ErrorCode::unsupported, c.where() + ": \"classifier_pooling\" is " + printable(pooling) +
                                            ", expected bos, mean or late");
  return {.transform = {"dense", Activation::gelu_erf},
          .out = "classifier",
          .pooling = pooling == "bos" ? PoolingKind::cls : PoolingKind::mean,
          .pools_logits = pooling == "late"};
}

}  // namespace mlxe
