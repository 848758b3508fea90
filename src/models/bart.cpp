#include "models/bart.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mlx_encoder/error.h"
#include "models/config_readers.h"
#include "models/plan_builder.h"

namespace mlxe {
namespace {

constexpr float kNormEpsilon = 1e-5f;
constexpr int64_t kFirstPosition = 2;  // rows of the tables of positions that no token has

BartStack read_stack(const Config& c, const std::string& part, int64_t width) {
  const std::string heads = part + "_attention_heads";
  const BartStack stack{.layers = c.positive(part + "_layers"),
                        .heads = c.positive(heads),
                        .feed_forward_width = c.positive(part + "_ffn_dim")};
  require_divisible(c, "d_model", width, heads, stack.heads);
  return stack;
}

int32_t token_id(const Config& c, std::string_view key, int64_t fallback, int64_t vocab_size) {
  const int64_t id = c.get_or<int64_t>(key, fallback);
  if (id < 0 || id >= vocab_size)
    throw Error(ErrorCode::format, fmt::format("{}: \"{}\" is {}, expected a token of \"vocab_size\" {}",
                                               c.where(), key, id, vocab_size));
  return static_cast<int32_t>(id);
}

// The encoder or the decoder.
class Stack {
 public:
  Stack(PlanBuilder& p, const BartConfig& config, const BartStack& sizes, std::string name)
      : p_(p), c_(config), sizes_(sizes), name_(std::move(name)) {}

  ValueId embed(int words, int places, RowIndex ids) {
    p_.scope(name_);
    const std::array lookups{std::pair(words, ids), std::pair(places, RowIndex::positions)};
    return p_.layer_norm("layernorm_embedding", p_.lookup(lookups), kNormEpsilon);
  }

  // `read`: the result of the encoder, for the decoder's layers. Ends each layer.
  ValueId layers(ValueId x, std::optional<ValueId> read) {
    for (int64_t i = 0; i < sizes_.layers; ++i) {
      p_.scope(fmt::format("{}layers.{}.", name_, i));
      x = part("self_attn_layer_norm", x,
               [&](ValueId y) { return attention("self_attn", y, y, read.has_value()); });
      if (read)
        x = part("encoder_attn_layer_norm", x,
                 [&](ValueId y) { return attention("encoder_attn", y, *read, false); });
      x = part("final_layer_norm", x, [&](ValueId y) {
        return p_.feed_forward("fc1", "fc2", y, sizes_.feed_forward_width, c_.activation);
      });
      if (pre_norm() && i + 1 == sizes_.layers) {
        p_.scope(name_);
        x = p_.layer_norm("layer_norm", x, kNormEpsilon);
      }
      p_.end_layer(x);
    }
    return x;
  }

 private:
  bool pre_norm() const { return c_.kind == BartKind::mbart; }

  // A part of a layer with its sum and its norm.
  template <class Part>
  ValueId part(const std::string& norm, ValueId x, Part made_of) {
    if (pre_norm()) return p_.add(norm, made_of(p_.layer_norm(norm, x, kNormEpsilon)), x);
    return p_.layer_norm(norm, p_.add(norm, made_of(x), x), kNormEpsilon);
  }

  ValueId attention(const std::string& name, ValueId x, ValueId read, bool causal) {
    const std::vector<ValueId> qkv{p_.linear(name + ".q_proj", x, c_.width),
                                   p_.linear(name + ".k_proj", read, c_.width),
                                   p_.linear(name + ".v_proj", read, c_.width)};
    const ValueId attended = p_.attention(name, qkv, {.heads = sizes_.heads, .causal = causal});
    return p_.linear(name + ".out_proj", attended, c_.width);
  }

  PlanBuilder& p_;
  const BartConfig& c_;
  const BartStack& sizes_;
  std::string name_;  // "encoder."
};

}  // namespace

BartConfig read_bart_config(const Config& c, BartKind kind) {
  // Of training, of generation, and of older versions, which transformers does not read.
  c.harmless({"activation_dropout", "add_bias_logits", "classif_dropout", "decoder_layerdrop",
              "encoder_layerdrop", "force_bos_token_to_be_generated", "init_std", "num_hidden_layers",
              "save_step", "student_decoder_layers", "student_encoder_layers"});
  constexpr const char* kOldLayout = "transformers has not computed this variant since its version 4";
  const bool pre_norm = kind == BartKind::mbart;
  c.reject_unless("normalize_before", {pre_norm}, kOldLayout);
  c.reject_unless("add_final_layer_norm", {pre_norm}, kOldLayout);
  c.reject_unless("normalize_embedding", {true}, kOldLayout);
  c.reject_unless("static_position_embeddings", {false}, kOldLayout);
  c.reject_unless("do_blenderbot_90_layernorm", {false}, kOldLayout);
  c.reject_unless("extra_pos_embeddings", {kFirstPosition}, kOldLayout);
  c.reject_unless("tie_word_embeddings", {true}, "the encoder and the decoder read one table of words");
  c.reject_unless("is_encoder_decoder", {true}, "only the encoder and the decoder together are computed");
  BartConfig config{.kind = kind,
                    .vocab_size = c.positive("vocab_size"),
                    .width = c.positive("d_model"),
                    .max_positions = c.positive("max_position_embeddings"),
                    .encoder = {},
                    .decoder = {},
                    .activation = read_activation(c, "activation_function", "gelu"),
                    .scales_words = c.get_or<bool>("scale_embedding", false)};
  config.encoder = read_stack(c, "encoder", config.width);
  config.decoder = read_stack(c, "decoder", config.width);
  config.padding_id = token_id(c, "pad_token_id", 1, config.vocab_size);
  config.end_id = token_id(c, "eos_token_id", 2, config.vocab_size);
  if (kind == BartKind::bart) config.start_id = token_id(c, "decoder_start_token_id", 2, config.vocab_size);
  return config;
}

Plan bart(const BartConfig& c) {
  PlanBuilder p;
  const int64_t positions = c.max_positions + kFirstPosition;
  const float scale = c.scales_words ? std::sqrt(static_cast<float>(c.width)) : 1;
  const int words = p.table("shared", c.vocab_size, c.width, Role::embedding, scale),
            read_places = p.table("encoder.embed_positions", positions, c.width),
            places = p.table("decoder.embed_positions", positions, c.width);
  Stack encoder(p, c, c.encoder, "encoder."), decoder(p, c, c.decoder, "decoder.");
  const ValueId embedded = encoder.embed(words, read_places, RowIndex::ids);
  p.end_layer(embedded);
  const ValueId read = encoder.layers(embedded, {});
  decoder.layers(
      decoder.embed(words, places, c.kind == BartKind::bart ? RowIndex::shifted_ids : RowIndex::wrapped_ids),
      read);
  Plan plan = p.finish();
  plan.max_tokens = c.max_positions;
  plan.padding_id = c.padding_id;
  plan.first_position = kFirstPosition;
  plan.start_id = c.start_id;
  plan.end_id = c.end_id;
  return plan;
}

Model make_bart(const Config& c) {
  return {.plan = bart(read_bart_config(c, BartKind::bart))};
}

Model make_mbart(const Config& c) {
  return {.plan = bart(read_bart_config(c, BartKind::mbart))};
}

}  // namespace mlxe
