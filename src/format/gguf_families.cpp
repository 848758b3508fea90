#include "format/gguf_families.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/wording.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

using enum GgufChange;

constexpr GgufModule kBert[] = {{"token_embd", "embeddings.word_embeddings"},
                                {"position_embd", "embeddings.position_embeddings", after_padding},
                                {"token_types", "embeddings.token_type_embeddings"},
                                {"token_embd_norm", "embeddings.LayerNorm"},
                                {"cls", "classifier.dense"},
                                {"cls.output", "classifier.out_proj"}};
constexpr GgufModule kBertLayer[] = {
    {"attn_q", "attention.self.query"},        {"attn_k", "attention.self.key"},
    {"attn_v", "attention.self.value"},        {"attn_qkv", "", in_parts},
    {"attn_output", "attention.output.dense"}, {"attn_output_norm", "attention.output.LayerNorm"},
    {"ffn_up", "intermediate.dense"},          {"ffn_down", "output.dense"},
    {"layer_output_norm", "output.LayerNorm"}};
constexpr std::array<std::string_view, 3> kBertParts{"attention.self.query", "attention.self.key",
                                                     "attention.self.value"};

constexpr GgufModule kNomic[] = {{"token_embd", "embeddings.word_embeddings"},
                                 {"token_types", "embeddings.token_type_embeddings"},
                                 {"token_embd_norm", "emb_ln"}};
constexpr GgufModule kNomicLayer[] = {
    {"attn_qkv", "attn.Wqkv"},      {"attn_output", "attn.out_proj"}, {"attn_output_norm", "norm1"},
    {"ffn_up", "mlp.fc11"},         {"ffn_gate", "mlp.fc12"},         {"ffn_down", "mlp.fc2"},
    {"layer_output_norm", "norm2"},
};

constexpr GgufModule kModernBert[] = {{"token_embd", "embeddings.tok_embeddings"},
                                      {"token_embd_norm", "embeddings.norm"},
                                      {"output_norm", "final_norm"},
                                      {"cls", "head.dense"},
                                      {"cls.norm", "head.norm"},
                                      {"cls.output", "classifier"}};
constexpr GgufModule kModernBertLayer[] = {
    {"attn_norm", "attn_norm"}, {"attn_qkv", "attn.Wqkv"}, {"attn_output", "attn.Wo"},
    {"ffn_norm", "mlp_norm"},   {"ffn_up", "mlp.Wi"},      {"ffn_down", "mlp.Wo"},
};

constexpr GgufModule kJina[] = {{"token_embd", "embeddings.word_embeddings"},
                                {"token_types", "embeddings.token_type_embeddings"},
                                {"token_embd_norm", "embeddings.LayerNorm"}};
constexpr GgufModule kJinaLayer[] = {{"attn_q", "attention.self.query"},
                                     {"attn_k", "attention.self.key"},
                                     {"attn_v", "attention.self.value"},
                                     {"attn_qkv", "", in_parts},
                                     {"attn_output", "attention.output.dense"},
                                     {"attn_output_norm", "attention.output.LayerNorm"},
                                     {"ffn_up", "mlp.gated_layers"},
                                     {"ffn_down", "mlp.wo"},
                                     {"layer_output_norm", "mlp.layernorm"}};
constexpr GgufModule kJinaCodeLayer[] = {{"attn_q", "attention.self.query"},
                                         {"attn_k", "attention.self.key"},
                                         {"attn_v", "attention.self.value"},
                                         {"attn_qkv", "", in_parts},
                                         {"attn_q_norm", "attention.self.layer_norm_q"},
                                         {"attn_k_norm", "attention.self.layer_norm_k"},
                                         {"attn_output", "attention.output.dense"},
                                         {"attn_output_norm", "attention.output.LayerNorm"},
                                         {"attn_norm_2", "layer_norm_1"},
                                         {"ffn_up", "mlp.up_gated_layer"},
                                         {"ffn_down", "mlp.down_layer"},
                                         {"layer_output_norm", "layer_norm_2"}};

constexpr GgufModule kQwen3[] = {
    {"token_embd", "embed_tokens"}, {"output_norm", "norm"}, {"output", "lm_head"}};
constexpr GgufModule kQwen3Layer[] = {{"attn_norm", "input_layernorm"},
                                      {"attn_q", "self_attn.q_proj"},
                                      {"attn_k", "self_attn.k_proj"},
                                      {"attn_v", "self_attn.v_proj"},
                                      {"attn_qkv", "", in_parts},
                                      {"attn_q_norm", "self_attn.q_norm"},
                                      {"attn_k_norm", "self_attn.k_norm"},
                                      {"attn_output", "self_attn.o_proj"},
                                      {"ffn_norm", "post_attention_layernorm"},
                                      {"ffn_gate", "mlp.gate_proj"},
                                      {"ffn_up", "mlp.up_proj"},
                                      {"ffn_down", "mlp.down_proj"}};
constexpr std::array<std::string_view, 3> kSelfAttentionParts{"self_attn.q_proj", "self_attn.k_proj",
                                                              "self_attn.v_proj"};

constexpr GgufModule kGemma[] = {{"token_embd", "embed_tokens"},
                                 {"output_norm", "norm", minus_one},
                                 {"output", "lm_head"},
                                 {"dense_2", "", dropped},
                                 {"dense_3", "", dropped}};
constexpr GgufModule kGemmaLayer[] = {{"attn_norm", "input_layernorm", minus_one},
                                      {"attn_q", "self_attn.q_proj"},
                                      {"attn_k", "self_attn.k_proj"},
                                      {"attn_v", "self_attn.v_proj"},
                                      {"attn_qkv", "", in_parts},
                                      {"attn_q_norm", "self_attn.q_norm", minus_one},
                                      {"attn_k_norm", "self_attn.k_norm", minus_one},
                                      {"attn_output", "self_attn.o_proj"},
                                      {"post_attention_norm", "post_attention_layernorm", minus_one},
                                      {"ffn_norm", "pre_feedforward_layernorm", minus_one},
                                      {"ffn_gate", "mlp.gate_proj"},
                                      {"ffn_up", "mlp.up_proj"},
                                      {"ffn_down", "mlp.down_proj"},
                                      {"post_ffw_norm", "post_feedforward_layernorm", minus_one}};

constexpr const char* kJinaArchitecture = "jina-bert-v2";

constexpr GgufFamily kGgufFamilies[] = {
    {.architecture = "bert",
     .layers = "encoder.layer.",
     .modules = kBert,
     .layer_modules = kBertLayer,
     .parts = kBertParts,
     .zero_if_absent = "embeddings.token_type_embeddings.weight"},  // a DistilBERT's file has none
    {.architecture = "nomic-bert",
     .layers = "encoder.layers.",
     .modules = kNomic,
     .layer_modules = kNomicLayer},
    {.architecture = "modern-bert",
     .layers = "layers.",
     .modules = kModernBert,
     .layer_modules = kModernBertLayer},
    {.architecture = kJinaArchitecture,
     .layers = "encoder.layer.",
     .modules = kJina,
     .layer_modules = kJinaLayer,
     .parts = kBertParts,
     .gate_and_up = "mlp.gated_layers"},
    {.architecture = "qwen3",
     .layers = "layers.",
     .modules = kQwen3,
     .layer_modules = kQwen3Layer,
     .parts = kSelfAttentionParts},
    {.architecture = "gemma-embedding",
     .layers = "layers.",
     .modules = kGemma,
     .layer_modules = kGemmaLayer,
     .parts = kSelfAttentionParts},
};
constexpr GgufFamily kJinaCode{.architecture = kJinaArchitecture,
                               .layers = "encoder.layer.",
                               .modules = kJina,
                               .layer_modules = kJinaCodeLayer,
                               .parts = kBertParts,
                               .gate_and_up = "mlp.up_gated_layer",
                               .gate_first = false};

}  // namespace

const GgufFamily& gguf_family(const GgufFile& file) {
  const std::string name = file.architecture();
  if (name == kJinaArchitecture && has_gguf_query_norms(file)) return kJinaCode;
  const auto* found = std::ranges::find(kGgufFamilies, name, &GgufFamily::architecture);
  if (found != std::end(kGgufFamilies)) return *found;
  std::vector<std::string> known;
  for (const GgufFamily& family : kGgufFamilies) known.emplace_back(family.architecture);
  file.unsupported(fmt::format("\"general.architecture\" is {}; this version reads {}", printable(name),
                               listed(known, known.size())));
}

int64_t gguf_position_offset(const GgufFile& file) {
  if (file.architecture() != "bert" || file.text("tokenizer.ggml.model").value_or("bert") == "bert") return 0;
  const int64_t padding = file.integer("tokenizer.ggml.padding_token_id").value_or(1);
  constexpr int64_t kMostPadding = 15;  // rows that are made for it take memory
  if (padding < 0 || padding > kMostPadding)
    file.malformed(
        fmt::format("\"tokenizer.ggml.padding_token_id\" is {}, after which no positions begin", padding));
  return padding + 1;
}

bool has_gguf_query_norms(const GgufFile& file) {
  return file.find_tensor("blk.0.attn_q_norm.weight") != nullptr;
}

}  // namespace mlxe
