#include "models/deberta_v2.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "models/config_readers.h"

namespace mlxe {
namespace {

// The words of "p2c|c2p", or of a list. Errors: unsupported (a word that is not in `known`).
std::vector<std::string> words_of(const Config& c, const char* key, const std::vector<std::string>& known) {
  std::vector<std::string> words;
  if (!c.has(key)) {
    c.harmless({key});
  } else if (c.json().at(key).is_string()) {
    std::string text = c.get<std::string>(key) + "|";
    std::ranges::transform(text, text.begin(),
                           [](char l) { return l >= 'A' && l <= 'Z' ? char(l - 'A' + 'a') : l; });
    std::erase(text, ' ');
    for (size_t first = 0, end; (end = text.find('|', first)) != text.npos; first = end + 1)
      words.push_back(text.substr(first, end - first));
  } else {
    words = c.get<std::vector<std::string>>(key);
  }
  std::erase(words, "");
  for (const std::string& word : words)
    if (std::ranges::find(known, word) == known.end())
      throw Error(ErrorCode::unsupported, fmt::format("{}: \"{}\" has {}; this version knows {}", c.where(),
                                                      key, printable(word), fmt::join(known, " and ")));
  return words;
}

bool has_word(const std::vector<std::string>& words, const char* word) {
  return std::ranges::find(words, word) != words.end();
}

// Absent, null, 0 and negative numbers are "none" in the original.
int64_t size_or_none(const Config& c, const char* key) {
  const int64_t size = c.get_or<int64_t>(key, 0);
  return size < 1 ? 0 : c.positive(key);
}

// `buckets`: 0, a row for each distance.
AttentionSpec read_attention(const Config& c, int64_t width, int64_t heads, int64_t max_positions,
                             int64_t buckets) {
  const std::vector<std::string> terms = words_of(c, "pos_att_type", {"c2p", "p2c"});
  const bool c2p = has_word(terms, "c2p"), p2c = has_word(terms, "p2c");
  const int64_t terms_of_scores = 1 + int64_t{c2p} + int64_t{p2c};
  AttentionSpec spec{.heads = heads,
                     .scale = 1 / std::sqrt(static_cast<float>(width / heads * terms_of_scores))};
  const int64_t given = size_or_none(c, "max_relative_positions");
  const int64_t max_distance = given > 0 ? given : max_positions;
  if (!c.get_or<bool>("relative_attention", false) || (!c2p && !p2c)) return spec;
  if (buckets == 1 || (buckets > 0 && max_distance - 1 <= buckets / 2))
    throw Error(
        ErrorCode::unsupported,
        fmt::format(
            "{}: \"position_buckets\" is {} for distances up to {} (\"max_relative_positions\"), which "
            "leaves no distance for the logarithmic buckets",
            c.where(), buckets, max_distance));
  spec.disentangled = Disentangled{.span = buckets > 0 ? buckets : max_distance,
                                   .buckets = buckets,
                                   .max_distance = max_distance,
                                   .content_to_position = c2p,
                                   .position_to_content = p2c};
  return spec;
}

std::optional<DebertaV2Config::Convolution> read_convolution(const Config& c, int64_t channels) {
  const int64_t kernel = size_or_none(c, "conv_kernel_size");
  if (kernel == 0) {
    c.harmless({"conv_groups", "conv_act"});
    return std::nullopt;
  }
  const int64_t groups = c.positive_or("conv_groups", 1);
  if (kernel % 2 == 0)
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: \"conv_kernel_size\" is {}, expected an odd number", c.where(), kernel));
  if (channels % groups != 0)
    throw Error(ErrorCode::format,
                fmt::format("{}: \"conv_groups\" is {}, which does not divide \"hidden_size\" {}", c.where(),
                            groups, channels));
  return DebertaV2Config::Convolution{kernel, groups, read_activation(c, "conv_act", "tanh")};
}

// What both versions have.
DebertaV2Config read_common(const Config& c, DebertaProjections projections, int64_t buckets) {
  const int64_t width = divisible_width(c, "hidden_size", "num_attention_heads"),
                heads = c.positive("num_attention_heads"),
                max_positions = c.positive("max_position_embeddings");
  return {.vocab_size = c.positive("vocab_size"),
          .embedding_size = c.positive_or("embedding_size", width),
          .hidden_size = width,
          .layers = c.positive("num_hidden_layers"),
          .intermediate_size = c.positive("intermediate_size"),
          .max_positions = max_positions,
          .type_vocab_size = size_or_none(c, "type_vocab_size"),
          .position_table = c.get_or<bool>("position_biased_input", true),
          .attention = read_attention(c, width, heads, max_positions, buckets),
          .projections = projections,
          .norm_positions = false,
          .convolution = {},
          .layer_norm_epsilon = static_cast<float>(c.non_negative_number_or("layer_norm_eps", 1e-7)),
          .activation = read_activation(c, "hidden_act", "gelu")};
}

}  // namespace

DebertaV2Config read_deberta_v2_config(const Config& c) {
  DebertaV2Config config = read_common(
      c, c.get_or<bool>("share_att_key", false) ? DebertaProjections::shared : DebertaProjections::own,
      size_or_none(c, "position_buckets"));
  c.reject_unless("attention_head_size", {config.hidden_size / config.attention.heads},
                  "heads as wide as hidden_size together are computed");
  config.norm_positions = has_word(words_of(c, "norm_rel_ebd", {"none", "layer_norm"}), "layer_norm");
  config.convolution = read_convolution(c, config.hidden_size);
  return config;
}

DebertaV2Config read_deberta_config(const Config& c) {
  c.reject_unless("talking_head", {false}, "products of heads with each other are not computed");
  return read_common(c, DebertaProjections::fused, 0);
}

}  // namespace mlxe
