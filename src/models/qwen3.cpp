#include "models/qwen3.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "mlx_encoder/error.h"
#include "models/config_readers.h"
#include "models/layer_types.h"

namespace mlxe {
namespace {

// Largest distance from a query to a key in sliding layers; 0: no layer slides. It is W - 1 for a "sliding_window" of W
// tokens, which includes the query's own.
int64_t qwen3_window(const Config& c) {
  const bool nulled = c.json().contains("sliding_window") && !c.has("sliding_window");
  const int64_t tokens = c.positive_or("sliding_window", 4096);
  if (!c.get_or<bool>("use_sliding_window", false) || nulled) return 0;
  if (tokens == 1)
    throw Error(ErrorCode::unsupported,
                c.where() + ": \"sliding_window\" is 1; this version computes windows of two tokens or more");
  return tokens - 1;
}

}  // namespace

LlamaConfig read_qwen3_config(const Config& c) {
  c.reject_unless("is_causal", {true}, "only attention to earlier tokens was compared with transformers");
  const GroupedHeads heads = read_grouped_heads(c, 32, 128);
  LlamaConfig config{.vocab_size = c.positive("vocab_size"),
                     .hidden_size = c.positive("hidden_size"),
                     .intermediate_size = c.positive("intermediate_size"),
                     .max_positions = c.positive("max_position_embeddings"),
                     .head_size = heads.size,
                     .layers = {},
                     .norm_epsilon = static_cast<float>(c.non_negative_number_or("rms_norm_eps", 1e-6)),
                     .activation = read_activation(c, "hidden_act", "silu"),
                     .attention_bias = bias_if(c, "attention_bias")};
  const LayerNorm norm{.epsilon = config.norm_epsilon, .has_bias = Bias::no, .kind = NormKind::rms};
  const AttentionSpec spec{.heads = heads.heads,
                           .kv_heads = heads.kv_heads,
                           .rotary = Rotary{plain_rotary_base(c)},
                           .norms = HeadNorms{norm, norm},
                           .causal = true};
  const int64_t window = qwen3_window(c), full_layers = c.positive_or("max_window_layers", 28);
  std::vector<bool> slides;
  for (int64_t i = 0, layers = c.positive("num_hidden_layers"); i < layers; ++i)
    slides.push_back(window > 0 && i >= full_layers);
  for (const bool slide : sliding_layers(c, slides)) {
    if (slide && window == 0)
      throw Error(ErrorCode::format, fmt::format("{}: \"layer_types\" has {}, but \"use_sliding_window\" or "
                                                 "\"sliding_window\" allows none",
                                                 c.where(), kSlidingAttention));
    config.layers.push_back(spec);
    if (slide) config.layers.back().window = window;
  }
  return config;
}

Model make_qwen3(const Config& c) {
  Model model{.plan = llama(read_qwen3_config(c))};
  model.plan.padding_id = static_cast<int32_t>(c.get_or<int64_t>("pad_token_id", kNoToken));
  return model;
}

}  // namespace mlxe
