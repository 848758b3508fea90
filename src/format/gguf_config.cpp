#include "format/gguf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "format/gguf_families.h"
#include "format/json_file.h"

namespace mlxe {
namespace {

using nlohmann::json;

// The file has float32 values: the shortest decimal of one is what was meant (1e-12, not 9.999999960041972e-13).
double meant(double value) {
  return std::strtod(fmt::format("{}", static_cast<float>(value)).c_str(), nullptr);
}

// The values under the architecture's name.
class GgufSettings {
 public:
  explicit GgufSettings(const GgufFile& file) : file_(file), name_(file.architecture()) {}

  std::string key(std::string_view rest) const { return fmt::format("{}.{}", name_, rest); }
  int64_t integer(std::string_view rest) const { return required(file_.integer(key(rest)), rest); }
  int64_t integer_or(std::string_view rest, int64_t otherwise) const {
    return file_.integer(key(rest)).value_or(otherwise);
  }
  double number(std::string_view rest) const { return meant(required(file_.number(key(rest)), rest)); }
  double number_or(std::string_view rest, double otherwise) const {
    return meant(file_.number(key(rest)).value_or(otherwise));
  }

  // Rows of a table or matrix. llama.cpp's tools write a matrix of one row as a vector.
  int64_t rows(std::string_view tensor) const {
    const GgufTensor* found = file_.find_tensor(tensor);
    if (found == nullptr) file_.malformed(fmt::format("has no tensor \"{}\"", tensor));
    if (found->shape.empty() || found->shape.size() > 2)
      file_.malformed(
          fmt::format("\"{}\" is {}, expected rows and columns", tensor, to_string(found->shape)));
    return found->shape.size() == 2 ? found->shape[0] : 1;
  }
  bool has(std::string_view tensor) const { return file_.find_tensor(tensor) != nullptr; }

  const GgufFile& file() const { return file_; }

 private:
  template <class T>
  T required(const std::optional<T>& value, std::string_view rest) const {
    if (value) return *value;
    file_.malformed(fmt::format("has no \"{}\"", key(rest)));
  }

  const GgufFile& file_;
  std::string name_;
};

json base_config(const GgufSettings& s, const char* model_type, const char* architecture) {
  return {{"architectures", {architecture}},
          {"model_type", model_type},
          {"vocab_size", s.rows("token_embd.weight")}};
}

// The sizes under transformers' usual keys.
void add_sizes(json& config, const GgufSettings& s) {
  config["hidden_size"] = s.integer("embedding_length");
  config["intermediate_size"] = s.integer("feed_forward_length");
  config["num_attention_heads"] = s.integer("attention.head_count");
  config["num_hidden_layers"] = s.integer("block_count");
}

// Keys and values with fewer heads than queries, where the family has one for each.
void require_own_keys(const GgufSettings& s) {
  const int64_t heads = s.integer("attention.head_count"),
                shared = s.integer_or("attention.head_count_kv", heads);
  if (shared != heads)
    s.file().unsupported(fmt::format("\"{}\" is {}, but there are {} heads, and each needs keys of its own",
                                     s.key("attention.head_count_kv"), shared, heads));
  const int64_t width = s.integer("embedding_length"), size = s.integer_or("attention.key_length", 0);
  if (size != 0 && (size > width || heads > width || size * heads != width))
    s.file().unsupported(fmt::format("\"{}\" is {}, but {} heads share {} columns",
                                     s.key("attention.key_length"), size, heads, width));
}

// A number for each label, under the names that the file has.
void add_labels(json& config, const GgufSettings& s, const char* head) {
  const int64_t count = s.rows(head);
  const auto names = s.file().texts(s.key("classifier.output_labels"));
  if (names && static_cast<int64_t>(names->size()) != count)
    s.file().malformed(fmt::format("\"{}\" has {} names, but \"{}\" has {} rows",
                                   s.key("classifier.output_labels"), names->size(), head, count));
  constexpr int64_t kMostLabels = 1 << 16;
  json labels = json::object();
  for (int64_t i = 0; i < std::min(count, kMostLabels); ++i)
    labels[std::to_string(i)] = names ? (*names)[static_cast<size_t>(i)] : fmt::format("LABEL_{}", i);
  config["id2label"] = std::move(labels);
}

// Whether the model is a classifier or reranker. Many files hold its head and do not say so.
bool ranks(const GgufSettings& s) {
  const auto pooling = gguf_pooling(s.file());
  return pooling == GgufPooling::rank ||
         (pooling.value_or(GgufPooling::none) == GgufPooling::none && s.has("cls.output.weight"));
}
[[noreturn]] void refuse_ranks(const GgufSettings& s, const char* why) {
  s.file().unsupported(
      fmt::format("holds a classifier or reranker: {}; give the model folder it was made of", why));
}

json bert_config(const GgufSettings& s) {
  const int64_t offset = gguf_position_offset(s.file());
  const bool bytes = s.file().text("tokenizer.ggml.model").value_or("bert") == "gpt2";
  const bool classifies = ranks(s);
  if (classifies && offset == 0)
    refuse_ranks(s, "llama.cpp's converter leaves out the pooler of a BERT, which its head reads");
  if (classifies && (!s.has("cls.weight") || !s.has("cls.output.weight")))
    refuse_ranks(s, "the file has not both tensors of its head, \"cls.weight\" and \"cls.output.weight\"");
  const char* type = offset == 0 ? "bert" : bytes ? "roberta" : "xlm-roberta";
  const char* family = offset == 0 ? "Bert" : bytes ? "Roberta" : "XLMRoberta";
  json config = base_config(
      s, type, fmt::format("{}{}", family, classifies ? "ForSequenceClassification" : "Model").c_str());
  add_sizes(config, s);
  require_own_keys(s);
  config["hidden_act"] = "gelu";
  config["layer_norm_eps"] = s.number("attention.layer_norm_epsilon");
  config["max_position_embeddings"] = s.rows("position_embd.weight") + offset;
  config["type_vocab_size"] = s.has("token_types.weight") ? s.rows("token_types.weight") : 1;
  if (offset > 0) config["pad_token_id"] = offset - 1;
  if (classifies) add_labels(config, s, "cls.output.weight");
  return config;
}

// Under the published keys, which state what else the published code would compute.
json nomic_bert_config(const GgufSettings& s) {
  if (ranks(s)) refuse_ranks(s, "no head of a NomicBERT is read");
  json config = base_config(s, "nomic_bert", "NomicBertModel");
  require_own_keys(s);
  config.update({{"n_embd", s.integer("embedding_length")},
                 {"n_inner", s.integer("feed_forward_length")},
                 {"n_head", s.integer("attention.head_count")},
                 {"n_layer", s.integer("block_count")},
                 {"n_positions", s.integer("context_length")},
                 {"type_vocab_size", s.rows("token_types.weight")},
                 {"layer_norm_epsilon", s.number("attention.layer_norm_epsilon")},
                 {"rotary_emb_base", s.number_or("rope.freq_base", 10000)},
                 {"rotary_emb_fraction", 1.0},
                 {"rotary_emb_interleaved", false},
                 {"rotary_emb_scale_base", nullptr},
                 {"rotary_scaling_factor", nullptr},
                 {"activation_function", "swiglu"},
                 {"qkv_proj_bias", false},
                 {"mlp_fc1_bias", false},
                 {"mlp_fc2_bias", false},
                 {"causal", false},
                 {"prenorm", false},
                 {"use_rms_norm", false},
                 {"parallel_block", false},
                 {"scale_attn_weights", true}});
  return config;
}

// Which layers attend within a window: all but every n-th, or a flag for each.
void add_layer_kinds(json& config, const GgufSettings& s, const char* every_key, int64_t every) {
  const std::string key = s.key("attention.sliding_window_pattern");
  const GgufValue* value = s.file().find(key);
  if (value == nullptr || !std::holds_alternative<GgufArray>(value->value)) {
    config[every_key] = s.integer_or("attention.sliding_window_pattern", every);
    return;
  }
  const std::vector<double> slides = *s.file().numbers(key);
  const auto layers = static_cast<size_t>(std::max<int64_t>(0, s.integer("block_count")));
  if (slides.size() < layers)
    s.file().malformed(fmt::format("\"{}\" has {} flags for {} layers", key, slides.size(), layers));
  json kinds = json::array();
  for (size_t i = 0; i < layers; ++i)
    kinds.push_back(slides[i] != 0 ? "sliding_attention" : "full_attention");
  config["layer_types"] = std::move(kinds);
}

json modern_bert_config(const GgufSettings& s) {
  const bool classifies = ranks(s);
  if (classifies && !s.has("cls.output.weight")) refuse_ranks(s, "the file has no \"cls.output.weight\"");
  json config =
      base_config(s, "modernbert", classifies ? "ModernBertForSequenceClassification" : "ModernBertModel");
  add_sizes(config, s);
  require_own_keys(s);
  const double full = s.number_or("rope.freq_base", 10000);
  // The converter writes a ModernBERT's norm_eps under the name of another kind of norm.
  const double otherwise = s.number_or("attention.layer_norm_rms_epsilon", 1e-5);
  config.update({{"max_position_embeddings", s.integer("context_length")},
                 {"norm_eps", s.number_or("attention.layer_norm_epsilon", otherwise)},
                 {"hidden_activation", s.file().text(s.key("hidden_activation")).value_or("gelu")},
                 {"global_rope_theta", full},
                 {"local_rope_theta", s.number_or("rope.freq_base_swa", 10000)},
                 {"norm_bias", s.has("output_norm.bias")},
                 {"attention_bias", s.has("blk.0.attn_output.bias")},
                 {"mlp_bias", s.has("blk.0.ffn_down.bias")}});
  if (const int64_t window = s.integer_or("attention.sliding_window", 0); window > 0) {
    config["local_attention"] = window;
    add_layer_kinds(config, s, "global_attn_every_n_layers", 3);
  } else {
    config["global_attn_every_n_layers"] = 1;
  }
  if (classifies) {
    config["classifier_bias"] = s.has("cls.bias");
    const bool first = s.integer_or("classifier.pooling_type", 1) == static_cast<int64_t>(GgufPooling::cls);
    config["classifier_pooling"] = first ? "cls" : "mean";
    add_labels(config, s, "cls.output.weight");
  }
  return config;
}

json jina_bert_config(const GgufSettings& s) {
  if (ranks(s))
    refuse_ranks(s, "llama.cpp's converter leaves out the pooler of a JinaBERT, which its head reads");
  json config = base_config(s, "bert", "JinaBertModel");
  add_sizes(config, s);
  require_own_keys(s);
  const int64_t inner = s.integer("feed_forward_length"), rows = s.rows("blk.0.ffn_up.weight");
  const bool gated = s.has("blk.0.ffn_gate.weight") || rows != inner;
  if (!gated)
    s.file().unsupported("has a feed-forward without a gate, which is not read of this architecture");
  config.update({{"position_embedding_type", "alibi"},
                 {"feed_forward_type", "geglu"},
                 {"hidden_act", "gelu"},
                 {"layer_norm_eps", s.number("attention.layer_norm_epsilon")},
                 {"max_position_embeddings", s.integer("context_length")},
                 {"type_vocab_size", s.rows("token_types.weight")}});
  if (has_gguf_query_norms(s.file()))
    config["auto_map"] = {
        {"AutoModel", "jinaai/jina-bert-v2-qk-post-norm--modeling_bert.JinaBertModel"}};  // says so
  return config;
}

// What Qwen3 and Gemma 3 have alike.
json decoder_config(const GgufSettings& s, const char* model_type, const char* architecture) {
  if (ranks(s)) refuse_ranks(s, "no head of this architecture is read from GGUF");
  json config = base_config(s, model_type, architecture);
  add_sizes(config, s);
  const int64_t heads = s.integer("attention.head_count"), width = s.integer("embedding_length");
  config.update({{"num_key_value_heads", s.integer_or("attention.head_count_kv", heads)},
                 {"head_dim", s.integer_or("attention.key_length", heads > 0 ? width / heads : 0)},
                 {"max_position_embeddings", s.integer("context_length")},
                 {"rms_norm_eps", s.number("attention.layer_norm_rms_epsilon")},
                 {"rope_theta", s.number_or("rope.freq_base", 10000)},
                 {"attention_bias", s.has("blk.0.attn_output.bias")},
                 {"tie_word_embeddings", !s.has("output.weight")}});
  return config;
}

json qwen3_config(const GgufSettings& s) {
  json config = decoder_config(s, "qwen3", "Qwen3Model");
  config["hidden_act"] = "silu";
  config["use_sliding_window"] = false;
  if (const auto causal = s.file().flag(s.key("attention.causal"))) config["is_causal"] = *causal;
  return config;
}

json gemma_config(const GgufSettings& s) {
  json config = decoder_config(s, "gemma3_text", "Gemma3TextModel");
  config.update({{"hidden_activation", "gelu_pytorch_tanh"},
                 {"query_pre_attn_scalar", config["head_dim"]},
                 {"rope_local_base_freq", s.number_or("rope.freq_base_swa", 10000)},
                 {"sliding_window", s.integer("attention.sliding_window")},
                 {"use_bidirectional_attention", true}});
  add_layer_kinds(config, s, "sliding_window_pattern", 6);
  return config;
}

struct GgufConfigReader {
  std::string_view architecture;
  json (*read)(const GgufSettings& settings);
};
constexpr GgufConfigReader kGgufConfigs[] = {
    {"bert", bert_config},
    {"nomic-bert", nomic_bert_config},
    {"modern-bert", modern_bert_config},
    {"jina-bert-v2", jina_bert_config},
    {"qwen3", qwen3_config},
    {"gemma-embedding", gemma_config},
};

// As llama.cpp, which scales without a type too; the older key counts if the other is absent, and 0 means none.
void check_rope_scaling(const GgufSettings& s) {
  const GgufFile& file = s.file();
  constexpr const char* kRefused = "\"{}\" is {}; only plain rotary positions are read from GGUF";
  const auto type = file.text(s.key("rope.scaling.type"));
  if (type && *type != "none")
    file.unsupported(fmt::format(kRefused, s.key("rope.scaling.type"), printable(*type)));
  const char* factor = file.find(s.key("rope.scaling.factor")) ? "rope.scaling.factor" : "rope.scale_linear";
  file.find(s.key("rope.scale_linear"));
  for (const char* key : {factor, "rope.scaling.attn_factor"})
    if (const double value = s.number_or(key, 1);
        value != 1 && !(key == factor && (type || value == 0)))  // "none" turns off the factor alone
      file.unsupported(fmt::format(kRefused, s.key(key), value));
}

// The layers that tensors are of. llama.cpp computes "block_count" of them, however many there are.
void check_layers(const GgufSettings& s) {
  constexpr std::string_view kInLayer = "blk.";
  const int64_t stated = s.integer("block_count");
  for (const GgufTensor& tensor : s.file().tensors) {
    if (!tensor.name.starts_with(kInLayer)) continue;
    int64_t layer = 0;
    const char* end = tensor.name.data() + tensor.name.size();
    const auto [after, error] = std::from_chars(tensor.name.data() + kInLayer.size(), end, layer);
    if (error == std::errc() && after != end && *after == '.' && layer >= stated)
      s.file().malformed(fmt::format("\"{}\" is {}, but {} is of the layer {}, counted from 0",
                                     s.key("block_count"), stated, printable(tensor.name), layer));
  }
}

// Settings that no config.json is made of. Those that are one with another are checked by what reads them.
void check_others(const GgufSettings& s) {
  const GgufFile& file = s.file();
  if (const std::string kind = file.text("general.type").value_or("model"); kind != "model")
    file.unsupported(fmt::format("\"general.type\" is {}, expected \"model\"", printable(kind)));
  check_rope_scaling(s);
  if (file.architecture() != "qwen3" && file.flag(s.key("attention.causal")).value_or(false))
    file.unsupported(fmt::format("\"{}\" is true, but this architecture attends in both directions",
                                 s.key("attention.causal")));
  check_layers(s);
  const int64_t words = s.rows("token_embd.weight");
  if (const auto tokens = file.find("tokenizer.ggml.tokens"))
    if (const auto* array = std::get_if<GgufArray>(&tokens->value);
        array != nullptr && array->count > static_cast<uint64_t>(words))
      file.malformed(
          fmt::format("has {} tokens, but only {} rows of \"token_embd.weight\"", array->count, words));
  for (const auto& [key, expected] :
       {std::pair(s.key("vocab_size"), words),
        std::pair(s.key("attention.value_length"), s.integer_or("attention.key_length", 0)),
        std::pair(std::string("tokenizer.ggml.token_type_count"),
                  s.has("token_types.weight") ? s.rows("token_types.weight") : int64_t{0})})
    if (const auto value = file.integer(key); value && expected != 0 && *value != expected)
      file.malformed(
          fmt::format("\"{}\" is {}, expected {} as the rest of the file says", key, *value, expected));
  if (const auto turned = file.integer(s.key("rope.dimension_count"))) {
    const int64_t heads = std::max<int64_t>(1, s.integer("attention.head_count"));
    const int64_t head = s.integer_or("attention.key_length", s.integer("embedding_length") / heads);
    if (*turned != head)
      file.unsupported(
          fmt::format("\"{}\" is {}; only rotary positions of whole heads, here {} columns, are computed",
                      s.key("rope.dimension_count"), *turned, head));
  }
}

}  // namespace

std::optional<GgufPooling> gguf_pooling(const GgufFile& file) {
  const std::string key = file.architecture() + ".pooling_type";
  const auto kind = file.integer(key);
  if (!kind) return std::nullopt;
  if (*kind < 0 || *kind > static_cast<int64_t>(GgufPooling::rank))
    file.unsupported(fmt::format("\"{}\" is {}, expected 0 to 4", key, *kind));
  return static_cast<GgufPooling>(*kind);
}

std::optional<int64_t> gguf_context(const GgufFile& file) {
  return file.integer(file.architecture() + ".context_length");
}

json gguf_config(const GgufFile& file) {
  gguf_family(file);  // refuses other architectures
  const GgufSettings settings(file);
  check_others(settings);
  const auto* found = std::ranges::find(kGgufConfigs, file.architecture(), &GgufConfigReader::architecture);
  return found->read(settings);
}

}  // namespace mlxe
