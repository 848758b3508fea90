#include "models/gemma3.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "models/config_readers.h"
#include "models/layer_types.h"

namespace mlxe {
namespace {

constexpr const char* kKnownRotary = "only plain and linearly scaled rotary positions are computed";

// `own`: an object with the kind of rotary positions, and possibly their base.
Rotary gemma3_rotary(const Config& own, double base) {
  bool linear = false;
  for (const char* key : {"rope_type", "type"}) {  // the second is older
    own.reject_unless(key, {"default", "linear"}, kKnownRotary);
    linear = linear || (own.has(key) && own.get<std::string>(key) == "linear");
  }
  Rotary rotary{.base = static_cast<float>(own.non_negative_number_or("rope_theta", base))};
  const double factor = linear ? own.non_negative_number("factor") : 1;
  if (factor < 1)
    throw Error(ErrorCode::format,
                fmt::format("{}: \"factor\" is {}, expected a number from 1 on", own.where(), factor));
  rotary.scale = static_cast<float>(1 / factor);
  if (const std::vector<std::string> unknown = own.unused_keys(); !unknown.empty())
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: has {}; {}", own.where(), printable(unknown[0]), kKnownRotary));
  return rotary;
}

struct Gemma3Rotary {
  Rotary full, sliding;
};

// transformers 4 writes two bases and "rope_scaling", which layers with a window do not have; transformers 5 writes
// "rope_parameters" of both kinds of layers.
Gemma3Rotary gemma3_rotaries(const Config& c) {
  const double full = c.non_negative_number_or("rope_theta", 1e6),
               sliding = c.non_negative_number_or("rope_local_base_freq", 1e4);
  Gemma3Rotary found{{static_cast<float>(full)}, {static_cast<float>(sliding)}};
  c.harmless({"rope_scaling", "rope_parameters"});
  if (c.has("rope_scaling")) found.full = gemma3_rotary(c.object("rope_scaling"), full);
  if (c.has("rope_parameters")) {
    const Config all = c.object("rope_parameters");
    if (all.has(kFullAttention)) found.full = gemma3_rotary(all.object(kFullAttention), full);
    if (all.has(kSlidingAttention)) found.sliding = gemma3_rotary(all.object(kSlidingAttention), sliding);
  }
  for (const Rotary& rotary : {found.full, found.sliding})
    if (!(rotary.base > 0))
      throw Error(ErrorCode::format, c.where() + ": the base of rotary positions is 0, expected more");
  return found;
}

// Largest distance from a query to a key in sliding layers. "sliding_window" is a number of tokens W with the query's
// own. In both directions, Gemma3TextConfig makes it W / 2 + 1 to either side, again with the query's own.
int64_t gemma3_window(const Config& c, bool causal) {
  const int64_t tokens = c.positive_or("sliding_window", 4096);
  const int64_t window = causal ? tokens - 1 : tokens / 2;
  if (window == 0)
    throw Error(ErrorCode::unsupported,
                c.where() + ": \"sliding_window\" is 1; this version computes windows of two tokens or more");
  return window;
}

}  // namespace

LlamaConfig read_gemma3_config(const Config& c) {
  c.reject_unless("attn_logit_softcapping", {nullptr}, "capped attention scores are not computed");
  // Of the language model's output, of its cache, and what stands for "layer_types" in some files, which then have it.
  c.harmless({"final_logit_softcapping", "cache_implementation", "_sliding_window_pattern"});
  const GroupedHeads heads = read_grouped_heads(c, 4, 256);
  LlamaConfig config{
      .vocab_size = c.positive("vocab_size"),
      .hidden_size = c.positive("hidden_size"),
      .intermediate_size = c.positive("intermediate_size"),
      .max_positions = c.positive_or("max_position_embeddings", 131072),
      .head_size = heads.size,
      .layers = {},
      .norm_epsilon = static_cast<float>(c.non_negative_number_or("rms_norm_eps", 1e-6)),
      .norm = NormKind::rms_one_plus,
      .norm_places = NormPlaces::around,
      // transformers rounds it to the dtype it holds the table in. Models are compared in float32.
      .embedding_scale = std::sqrt(static_cast<float>(c.positive("hidden_size"))),
      .activation = read_activation(c, "hidden_activation", "gelu_pytorch_tanh"),
      .attention_bias = bias_if(c, "attention_bias")};
  const bool causal = !c.get_or<bool>("use_bidirectional_attention", false);
  const double scalar = c.non_negative_number_or("query_pre_attn_scalar", 256);
  if (!(scalar > 0))
    throw Error(ErrorCode::format, c.where() + ": \"query_pre_attn_scalar\" is 0, expected more");
  const LayerNorm norm{.epsilon = config.norm_epsilon, .has_bias = Bias::no, .kind = config.norm};
  const auto [full, sliding] = gemma3_rotaries(c);
  const int64_t window = gemma3_window(c, causal), every = c.positive_or("sliding_window_pattern", 6);
  std::vector<bool> otherwise;
  for (int64_t i = 0, layers = c.positive("num_hidden_layers"); i < layers; ++i)
    otherwise.push_back((i + 1) % every != 0);
  for (const bool slides : sliding_layers(c, otherwise))
    config.layers.push_back({.heads = heads.heads,
                             .kv_heads = heads.kv_heads,
                             .rotary = slides ? sliding : full,
                             .norms = HeadNorms{norm, norm},
                             .window = slides ? window : 0,
                             .causal = causal,
                             .scale = static_cast<float>(1 / std::sqrt(scalar))});
  return config;
}

Model make_gemma3(const Config& c) {
  return {.plan = llama(read_gemma3_config(c))};
}

}  // namespace mlxe
