#include "models/eurobert.h"

#include <string>
#include <vector>

#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "models/config_readers.h"

namespace mlxe {

LlamaConfig read_eurobert_config(const Config& c) {
  const int64_t hidden = c.positive("hidden_size"), heads = c.positive("num_attention_heads");
  if (!c.has("head_dim")) divisible_width(c, "hidden_size", "num_attention_heads");
  const GroupedHeads grouped = read_grouped_heads(c, heads, hidden / heads);
  const AttentionSpec spec{
      .heads = heads, .kv_heads = grouped.kv_heads, .rotary = Rotary{plain_rotary_base(c)}};
  return {.vocab_size = c.positive("vocab_size"),
          .hidden_size = hidden,
          .intermediate_size = c.positive("intermediate_size"),
          .max_positions = c.positive("max_position_embeddings"),
          .head_size = grouped.size,
          .layers = std::vector<AttentionSpec>(static_cast<size_t>(c.positive("num_hidden_layers")), spec),
          .norm_epsilon = static_cast<float>(c.non_negative_number_or("rms_norm_eps", 1e-5)),
          .activation = read_activation(c, "hidden_act", "silu"),
          .attention_bias = bias_if(c, "attention_bias"),
          .mlp_bias = bias_if(c, "mlp_bias")};
}

Model make_eurobert(const Config& c) {
  require_own_code(c, {"EuroBert"});
  c.harmless({"pretraining_tp", "hidden_dropout"});                   // of training
  c.harmless({"bos_token", "eos_token", "mask_token", "pad_token"});  // of the tokenizer
  c.harmless({"classifier_pooling", "clf_pooling"});                  // read by the head
  return {.plan = llama(read_eurobert_config(c))};
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
