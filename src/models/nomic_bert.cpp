#include "models/nomic_bert.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "models/config_readers.h"
#include "models/plan_builder.h"

namespace mlxe {
namespace {

// The published code computes more than transformers 5. Its keys are written out where its own defaults differ.
void require_what_is_computed(const Config& c) {
  c.reject_unless("moe_every_n_layers", {0}, "mixtures of experts are not computed");
  struct Setting {
    const char* key;
    nlohmann::json value;
    const char* why;
    bool stated;  // whether the published code has another default
  };
  constexpr const char* kBiases = "only linears without bias are computed";
  constexpr const char* kRotary = "only plain rotary positions of whole heads are computed";
  const Setting settings[] = {
      {"activation_function", "swiglu", "only a gate with SiLU is computed", true},
      {"qkv_proj_bias", false, kBiases, true},
      {"mlp_fc1_bias", false, kBiases, true},
      {"mlp_fc2_bias", false, kBiases, true},
      {"rotary_emb_fraction", 1, kRotary, true},
      {"rotary_emb_interleaved", false, kRotary, false},
      {"rotary_emb_scale_base", nullptr, kRotary, false},
      {"rotary_scaling_factor", nullptr, kRotary, false},
      {"causal", false, "the model attends to earlier tokens only, this library runs bidirectional encoders",
       false},
      {"prenorm", false, "only norms after attention and feed-forward are computed", false},
      {"use_rms_norm", false, "only layer norms are computed", false},
      {"parallel_block", false, "only one block after the other is computed", false},
      {"scale_attn_weights", true, "only scaled scores are computed", false},
      {"scale_attn_by_inverse_layer_idx", false, "only scores of one scale are computed", false},
  };
  for (const Setting& s : settings) {
    if (s.stated && c.has("n_embd") && !c.has(s.key))
      throw Error(ErrorCode::format,
                  fmt::format("{}: no \"{}\", expected {}", c.where(), s.key, s.value.dump()));
    c.reject_unless(s.key, {s.value}, s.why);
  }
}

}  // namespace

NomicBertConfig read_nomic_bert_config(const Config& c) {
  require_what_is_computed(c);
  const std::string_view heads_key = either(c, "num_attention_heads", "n_head");
  const int64_t hidden = even_width(c, either(c, "hidden_size", "n_embd"), heads_key),
                heads = c.positive(heads_key);
  c.reject_unless("head_dim", {hidden / heads}, "heads of another width are not computed");
  // Published files have both, and then the published code goes by n_positions.
  c.harmless({"max_position_embeddings"});
  return {.vocab_size = c.positive("vocab_size"),
          .type_vocab_size = c.positive_or("type_vocab_size", 2),
          .hidden_size = hidden,
          .intermediate_size = c.positive(either(c, "intermediate_size", "n_inner")),
          .max_positions = c.positive(c.has("n_positions") ? "n_positions" : "max_position_embeddings"),
          .layers = c.positive(either(c, "num_hidden_layers", "n_layer")),
          .attention = {.heads = heads, .rotary = Rotary{plain_rotary_base(c, "rotary_emb_base")}},
          .layer_norm_epsilon = static_cast<float>(
              c.non_negative_number_or(either(c, "layer_norm_eps", "layer_norm_epsilon"), 1e-12)),
          .activation = read_activation(c, "hidden_act", "silu")};
}

Plan nomic_bert(const NomicBertConfig& c) {
  PlanBuilder p;
  const int words = p.table("embeddings.word_embeddings", c.vocab_size, c.hidden_size),
            types = p.table("embeddings.token_type_embeddings", c.type_vocab_size, c.hidden_size,
                            Role::token_type_embedding);
  const std::array lookups{std::pair(words, RowIndex::ids), std::pair(types, RowIndex::token_types)};
  ValueId x = p.layer_norm("emb_ln", p.lookup(lookups), c.layer_norm_epsilon);
  p.end_layer(x);
  for (int64_t i = 0; i < c.layers; ++i) {
    p.scope("encoder.layers." + std::to_string(i) + ".");
    const ValueId attended =
        p.attention("attn", p.fused_linears("attn.Wqkv", 3, x, c.hidden_size, Bias::no), c.attention);
    const ValueId sum = p.add("attn", p.linear("attn.out_proj", attended, c.hidden_size, Bias::no), x);
    const ValueId a = p.layer_norm("norm1", sum, c.layer_norm_epsilon);
    const ValueId f = p.gated_feed_forward("mlp.fc12", "mlp.fc11", "mlp.fc2", a, c.intermediate_size,
                                           c.activation, Bias::no);
    x = p.layer_norm("norm2", p.add("mlp", f, a), c.layer_norm_epsilon);
    p.end_layer(x);
  }
  Plan plan = p.finish();
  plan.max_tokens = c.max_positions;
  return plan;
}

Model make_nomic_bert(const Config& c) {
  require_own_code(c, {"NomicBert"});
  // Of training, of how the published code runs, of other heads and of mixtures of experts.
  c.harmless({"attn_pdrop",
              "embd_pdrop",
              "resid_pdrop",
              "moe_resid_pdrop",
              "dense_seq_output",
              "fused_bias_fc",
              "fused_dropout_add_ln",
              "use_flash_attn",
              "use_xentropy",
              "reorder_and_upcast_attn",
              "pad_vocab_size_multiple",
              "parallel_block_tied_norm",
              "summary_activation",
              "summary_first_dropout",
              "summary_proj_to_labels",
              "summary_type",
              "summary_use_proj",
              "max_trained_positions",
              "num_experts",
              "moe_top_k",
              "moe_normalize_expert_weights",
              "moe_impl",
              "expert_choice_router",
              "num_shared_experts",
              "router_aux_loss_coef",
              "ffn_div"});
  return {.plan = nomic_bert(read_nomic_bert_config(c))};
}

}  // namespace mlxe
